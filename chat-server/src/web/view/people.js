// Who is in the room: those online, away and offline, each with a coloured disc, and how to see the rest. On a wide
// window it stands beside the conversation, elsewhere it opens over it. It owns the panel; the people are the room's.

import { compareNames, errorText, t } from '../i18n.js';
import { avatar, h, parts, tell } from './dom.js';

const MOST_FACES = 4;

export class PeopleView {
  #panel = document.getElementById('people');
  #parts = parts(this.#panel);
  #button = document.querySelector('.faces');
  #room = null;
  #drawn = null;
  #revision = 0;

  constructor() {
    this.#button.onclick = () => (this.#isOpen ? this.close() : this.#open());
    this.#parts.close.onclick = () => this.close();
    document.addEventListener('keydown', (event) => event.key === 'Escape' && this.close());
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
    const { people, me } = room;
    const everybody = [...people.members.values()].sort((a, b) => compareNames(a.name, b.name));
    const unnamed = people.online - everybody.filter(({ state }) => state !== 'offline').length;
    const groups = ['online', 'away', 'offline'].map((state) => [state, everybody.filter((member) => member.state === state)]);
    this.#parts.groups.replaceChildren(...groups.filter(([, members]) => members.length).map(([state, members]) =>
      h('section', { dataset: { testid: `people-${state}` } },
        h('h3', {}, t(`people.${state}`), ' ', h('span', {}, String(members.length + (state === 'online' && unnamed > 0 ? unnamed : 0)))),
        h('ul', { class: 'list' }, ...members.map((member) => person(member, me))))));
    this.#parts.crowd.hidden = unnamed <= 0;
    this.#parts.crowd.textContent = t('people.crowd', { count: unnamed });
    this.#parts.all.hidden = people.next === null || people.count <= everybody.length;
    this.#parts.all.textContent = t(people.next === undefined ? 'people.all' : 'people.more');
    this.#drawFaces(everybody.filter(({ state }) => state !== 'offline'), people.online);
  }

  close() {
    if (!this.#isOpen) return;
    this.#setOpen(false);
    this.#button.focus();
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

  #drawFaces(present, online) {
    const faces = present.slice(0, MOST_FACES).map((member) => avatar({ ...member, state: '' }, 1));
    const rest = online - faces.length;
    this.#button.setAttribute('aria-label', `${t('room.people')}: ${t('rooms.online', { count: online })}`);
    this.#button.replaceChildren(...faces, ...(rest > 0 ? [h('span', { class: 'avatar rest', 'aria-hidden': 'true' }, `+${rest}`)] : []));
  }
}

function person(member, me) {
  const remarks = [
    member.id === me?.id && t('people.you'),
    member.role === 'owner' && t('people.owner'),
    member.devices > 1 && t('people.devices', { count: member.devices }),
  ].filter(Boolean);
  return h('li', { class: 'person', dataset: { testid: 'person', user: member.id, state: member.state } },
    avatar(member),
    h('span', { class: 'words' },
      h('strong', { dir: 'auto' }, member.name),
      remarks.length > 0 && h('small', {}, remarks.join(' · '))));
}
