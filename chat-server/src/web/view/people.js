// Who is in the room: those online, away and offline, each with a coloured disc, how to see the rest, and for those who
// keep order a button at everybody upon whom they may act. On a wide window it stands beside the conversation, elsewhere
// it opens over it. It owns the panel; the people are the room's.

import { compareNames, errorText, t } from '../i18n.js';
import { avatar, h, icon, keepInStep, parts, tell } from './dom.js';
import { remarks } from './remarks.js';

const MOST_FACES = 4;
const STATES = ['online', 'away', 'offline'];

export class PeopleView {
  #panel = document.getElementById('people');
  #parts = parts(this.#panel);
  #button = document.querySelector('.faces');
  #room = null;
  #drawn = null;
  #revision = 0;
  #onManage;

  /** `onManage(room, id)` and `onBans(room)` are called for the buttons. */
  constructor({ onManage, onBans }) {
    this.#onManage = onManage;
    this.#button.onclick = () => (this.#isOpen ? this.close() : this.#open());
    this.#parts.close.onclick = () => this.close();
    this.#parts.bans.onclick = () => onBans(this.#room);
    document.addEventListener('keydown', (event) => event.key === 'Escape' && !document.querySelector('dialog[open]') && this.close());
    this.#parts.all.onclick = () => this.#room.people.loadMore().catch((error) => tell(errorText(error)));
  }

  /** Shows the people of a room, or nothing. */
  draw(room) {
    if (room !== this.#room) this.#setOpen(false);
    this.#room = room;
    this.#panel.hidden = room === null;
    if (room === null || (room === this.#drawn && room.people.revision === this.#revision)) return;
    this.#drawn = room;
    this.#revision = room.people.revision;
    const { people } = room;
    const everybody = [...people.members.values()].sort((a, b) => compareNames(a.name, b.name));
    const unnamed = people.online - everybody.filter(({ state }) => state !== 'offline').length;
    const groups = STATES.map((state) => [state, everybody.filter((member) => member.state === state)]);
    keepInStep(this.#parts.groups, groups.filter(([, members]) => members.length).map(([state, members]) =>
      this.#group(state, members, state === 'online' && unnamed > 0 ? unnamed : 0)));
    this.#parts.crowd.hidden = unnamed <= 0;
    this.#parts.crowd.textContent = t('people.crowd', { count: unnamed });
    this.#parts.all.hidden = people.next === null || people.count <= everybody.length;
    this.#parts.all.textContent = t(people.next === undefined ? 'people.all' : 'people.more');
    this.#parts.order.hidden = !room.standing.moderates;
    this.#drawFaces(everybody.filter(({ state }) => state !== 'offline'), people.online);
  }

  close() {
    if (!this.#isOpen) return;
    this.#setOpen(false);
    this.#button.focus();
  }

  /** Puts the keyboard back to where this member was managed, or near it if it is no longer there. */
  focus(id) {
    const button = this.#panel.querySelector(`[data-user="${id}"] button`);
    (button ?? this.#parts['people-title']).focus();
  }

  get #isOpen() {
    return this.#panel.classList.contains('is-open');
  }

  #open() {
    this.#setOpen(true);
    this.#parts['people-title'].focus();
  }

  #setOpen(open) {
    this.#panel.classList.toggle('is-open', open);
    this.#button.setAttribute('aria-expanded', String(open));
  }

  /** A state's people. Elements that stay the same stay, so that the keyboard's place among them does. */
  #group(state, members, unnamed) {
    const fill = (section) => {
      const [heading, list] = section.children;
      heading.replaceChildren(t(`people.${state}`), ' ', h('span', {}, String(members.length + unnamed)));
      keepInStep(list, members.map((member) => this.#person(member)));
    };
    return {
      key: state,
      look: this.#revision,
      make: () => {
        const section = h('section', { dataset: { testid: `people-${state}` } }, h('h3'), h('ul', { class: 'list' }));
        fill(section);
        return section;
      },
      patch: fill,
    };
  }

  #person(member) {
    const room = this.#room;
    const remark = remarks(member, room);
    const managed = room.standing.acts(member).length > 0;
    const fill = (li) => {
      const focused = li.contains(document.activeElement);
      li.dataset.state = member.state;
      li.replaceChildren(
        avatar(member),
        h('span', { class: 'words' }, h('strong', { dir: 'auto' }, member.name), remark && h('small', {}, remark)),
        ...(managed ? [this.#manageButton(member)] : []));
      if (focused) li.querySelector('button')?.focus();
    };
    return {
      key: member.id,
      look: [member.name, member.state, remark, managed].join('\n'),
      make: () => {
        const li = h('li', { class: 'person', dataset: { testid: 'person', user: member.id } });
        fill(li);
        return li;
      },
      patch: fill,
    };
  }

  #manageButton({ id, name }) {
    const room = this.#room;
    return h('button', {
      class: 'icon', type: 'button', 'aria-haspopup': 'dialog', dataset: { testid: 'manage' },
      'aria-label': t('people.manage', { name }), title: t('people.manage', { name }),
      onclick: () => this.#onManage(room, id),
    }, icon('more'));
  }

  #drawFaces(present, online) {
    const faces = present.slice(0, MOST_FACES).map((member) => avatar({ ...member, state: '' }, 1));
    const rest = online - faces.length;
    this.#button.setAttribute('aria-label', `${t('room.people')}: ${t('rooms.online', { count: online })}`);
    this.#button.replaceChildren(...faces, ...(rest > 0 ? [h('span', { class: 'avatar rest', 'aria-hidden': 'true' }, `+${rest}`)] : []));
  }
}
