// The middle of the page: the open room with its heading, log, typing line and composer, or, where there is no room to
// show, why not and what to do. It owns which room is shown; each part below it, and each dialog about it, has its own
// view.

import { ending, errorText, someNames, t } from '../i18n.js';
import { BansView } from './bans.js';
import { parts, soon } from './dom.js';
import { ComposerView } from './composer.js';
import { LogView } from './log.js';
import { PeopleView } from './people.js';
import { PersonView } from './person.js';
import { SettingsView } from './settings.js';

const MOST_TYPING = 3;

export class RoomView {
  #parts = parts(document.querySelector('.room'));
  #log = new LogView();
  #bans = new BansView();
  #person;
  #settings = new SettingsView();
  #people = new PeopleView({
    onManage: (room, id) => this.#person.show(room, id),
    onBans: (room) => this.#bans.show(room),
  });
  #composer = new ComposerView(() => this.#log.toNewest());
  #room = null;
  #entered = false;
  #stopListening = () => {};
  #draw = soon(() => this.#drawNow());

  /** `onLeave(room)` is called for the button; `profileOf(id)` promises what a user says of itself. */
  constructor({ onLeave, profileOf }) {
    this.#person = new PersonView({ profileOf, onClose: (id) => this.#people.focus(id) });
    this.#parts.leave.onclick = () => onLeave(this.#room);
    this.#parts.settings.onclick = () => this.#settings.show(this.#room);
    this.#parts.rejoin.onclick = () => this.#room.join();
    document.querySelector('.skip').onclick = () => this.#composer.focus();
  }

  /** Shows a room, or none. */
  show(room) {
    this.#stopListening();
    this.#room = room;
    this.#entered = false;
    if (room) {
      this.#stopListening = room.on('changed', this.#draw);
      this.#log.show(room);
      this.#composer.show(room);
    }
    this.#drawNow();
  }

  #drawNow() {
    const room = this.#room;
    const readable = room && ['live', 'stale'].includes(room.state);
    this.#parts.conversation.hidden = !readable;
    this.#parts.blank.hidden = Boolean(readable);
    for (const view of [this.#people, this.#person, this.#bans, this.#settings]) view.draw(readable ? room : null);
    if (!readable) return this.#drawBlank();
    const { info, people } = room;
    this.#parts.title.textContent = info.title;
    this.#parts.counts.textContent = [
      t('rooms.online', { count: people.online }),
      t('rooms.members', { count: people.count }),
      ...(info.ephemeral ? [t('rooms.temporary')] : []),
    ].join(' · ');
    this.#parts.leave.disabled = room.state !== 'live';
    this.#parts.settings.hidden = !room.standing.owns;
    this.#drawTyping(people.typing(room.user.id).map(({ name }) => name));
    this.#log.draw();
    this.#composer.draw();
    if (!this.#entered) this.#enter();
  }

  /** The first sight of a room: writing can begin, but no keyboard slides over a phone's screen unasked. */
  #enter() {
    this.#entered = true;
    this.#composer.fit();
    if (matchMedia('(hover: hover) and (pointer: fine)').matches && !document.querySelector('dialog[open]')) this.#composer.focus();
  }

  #drawTyping(names) {
    const text = names.length ? t(names.length === 1 ? 'typing.one' : 'typing.some', { names: someNames(names, MOST_TYPING) }) : '';
    if (this.#parts.typing.textContent !== text) this.#parts.typing.textContent = text;
  }

  #drawBlank() {
    const room = this.#room;
    const [title, text] = wordsOf(room);
    this.#parts['blank-title'].textContent = title;
    this.#parts['blank-text'].textContent = text;
    // Whoever is no member of a private room has to be invited.
    this.#parts.rejoin.hidden = room?.state !== 'outside' || room.info.kind === 'private';
    this.#parts.away.hidden = !room || room.state === 'joining';
  }
}

/** Why there is no room to show: what to call it, and what can be done. */
function wordsOf(room) {
  const { state, error, ending: end } = room ?? {};
  const why = error ? errorText(error) : '';
  if (state === 'outside' && end?.change === 'kicked') {
    return [t('room.kickedTitle', { by: end.by.name }), t(room.info.kind === 'private' ? 'room.needsInvitation' : 'room.outside')];
  }
  if (state === 'refused' && end?.change === 'banned') {
    const until = end.until && ending(new Date(end.until));
    return [t('room.bannedTitle', { by: end.by.name }), until ? t('room.bannedUntilLead', { until }) : t('room.bannedLead')];
  }
  return {
    undefined: [t('room.none'), t('room.noneLead')],
    joining: [t('room.joining'), why],
    outside: [t('room.outsideTitle'), t(room?.info.kind === 'private' ? 'room.needsInvitation' : 'room.outside')],
    gone: [t('room.goneTitle'), t('room.gone')],
    refused: [t('room.refusedTitle'), why],
  }[state];
}
