// The list of rooms: those we are in, with what is unread, and the other open ones, with their live counts; the search
// box; and who we are. It draws what `chat.js` and `directory.js` know; choosing a room is following its link.

import { t } from '../i18n.js';
import { avatar, h, icon, keepInStep, mark, parts, soon } from './dom.js';

export class RoomsView {
  #parts = parts(document.querySelector('.rooms'));
  #chat;
  #directory;
  #current;
  #draw = soon(() => this.#drawNow());

  constructor({ onNew, onYou, onKeep, onSignOut }) {
    const { search, more, you, keep, out, new: make } = this.#parts;
    search.oninput = () => this.#directory.search(search.value.trim());
    more.onclick = () => this.#directory.more();
    make.onclick = onNew;
    you.onclick = onYou;
    keep.onclick = onKeep;
    out.onclick = onSignOut;
  }

  /** Shows the rooms of a person who has just signed in; a guest may get an account. */
  show(chat, directory, isGuest) {
    const { keep, you } = this.#parts;
    keep.hidden = !isGuest;
    mark(you, 'aria-haspopup', !isGuest && 'dialog');
    you.title = t(isGuest ? 'signin.keep' : 'you.open');
    this.#chat = chat;
    this.#directory = directory;
    this.#parts.search.value = '';
    this.#drawMe();
    chat.on('renamed', () => this.#drawMe());
    chat.on('changed', this.#draw);
    directory.on('changed', this.#draw);
    this.#drawNow();
  }

  /** Marks the room that is being shown. */
  select(id) {
    this.#current = id;
    this.#draw();
  }

  focus() {
    this.#parts.heading.focus({ preventScroll: true });
  }

  #drawMe() {
    this.#parts.name.textContent = this.#chat.user.name;
    this.#parts.avatar.replaceChildren(avatar(this.#chat.user));
  }

  #drawNow() {
    const query = this.#directory.query;
    const mine = [...this.#chat.rooms.values()].filter((room) => room.state !== 'gone' && room.info.title);
    const found = mine.filter(({ info }) => info.title.toLocaleLowerCase().includes(query.toLocaleLowerCase()));
    const others = this.#directory.rooms.filter(({ id }) => !mine.some((room) => room.id === id));
    this.#parts['mine-section'].hidden = found.length === 0;
    keepInStep(this.#parts.mine, found.map((room) => this.#item(this.#live(room), room.unread)));
    keepInStep(this.#parts.open, others.map((info) => this.#item(info, 0)));
    this.#parts.more.hidden = !this.#directory.hasMore;
    this.#parts.empty.hidden = others.length > 0;
    this.#parts.empty.textContent = this.#whyEmpty(query, mine);
  }

  /** A room's counts: as its events said when we last heard it, as the list says if we never did. */
  #live(room) {
    const listed = this.#directory.rooms.find(({ id }) => id === room.id);
    if (room.state !== 'live' && room.state !== 'stale') return { ...room.info, ...listed };
    return { ...room.info, members: room.people.count, online: room.people.online };
  }

  #whyEmpty(query, mine) {
    if (!this.#directory.known) return t('rooms.loading');
    if (query) return t('rooms.noMatch', { query });
    return mine.length ? t('rooms.noOthers') : t('rooms.none');
  }

  #item(info, unread) {
    const current = info.id === this.#current;
    const fill = (li) => {
      const counts = [t('rooms.online', { count: info.online }), t('rooms.members', { count: info.members })];
      const link = li.firstElementChild;
      mark(link, 'aria-current', current && 'page');
      link.replaceChildren(
        avatar({ id: info.id, name: info.title }, 1),
        h('span', { class: 'words' },
          h('strong', { dir: 'auto' }, info.title),
          h('small', { class: info.online ? 'lively' : '' },
            info.ephemeral && h('span', { class: 'tag', title: t('rooms.temporary') }, icon('hourglass'), h('span', { class: 'unseen' }, t('rooms.temporary'))),
            h('span', { dataset: { testid: 'counts' } }, counts.join(' · ')))),
        ...(unread ? [h('span', { class: 'badge', 'aria-label': t('rooms.unread', { count: unread }) }, unread > 99 ? '99+' : String(unread))] : []));
    };
    return {
      key: info.id,
      look: [info.title, info.online, info.members, unread, current].join('\n'),
      make: () => {
        const li = h('li', { dataset: { testid: 'room-item', room: info.id } }, h('a', { href: `#room=${info.id}` }));
        fill(li);
        return li;
      },
      patch: fill,
    };
  }
}
