// The dialog about one member: what it says of itself, and what we may do to it, a button each, and for what needs a time or a second thought, a step
// in between. It follows the room while it is open, so that what is no longer allowed is no longer offered, and closes
// when nothing is left. It owns the choice being made; doing it is the room's, and refusing it the server's.

import { duration, errorText, t } from '../i18n.js';
import { avatar, h, icon } from './dom.js';
import { Dialog } from './dialog.js';
import { remarks } from './remarks.js';

const HOUR = 3_600;
/** For how long somebody may be muted or banned, in seconds; null is without an end. */
const TIMES = [HOUR, 24 * HOUR, 7 * 24 * HOUR, null];

/** Each act: its command, with what fields, its icon, and whether a step comes before it. */
const ACTS = {
  promote: { verb: 'role', fields: { role: 'moderator' }, icon: 'shield' },
  demote: { verb: 'role', fields: { role: 'member' }, icon: 'person' },
  unmute: { verb: 'unmute', icon: 'speech' },
  mute: { verb: 'mute', icon: 'mute', step: 'time' },
  kick: { verb: 'kick', icon: 'door' },
  ban: { verb: 'ban', icon: 'bar', step: 'time', grave: true },
  transfer: { verb: 'transfer', icon: 'key', step: 'confirm' },
};

export class PersonView {
  #dialog = new Dialog('person');
  #room = null;
  #id = null;
  #member = null;
  /** The act whose step is shown, or null for the list of acts. */
  #act = null;
  #drawn = '';
  #profileOf;

  /** `profileOf(id)` promises `{status}`, `onClose(id)` is called with whom it was about. */
  constructor({ profileOf, onClose }) {
    this.#profileOf = profileOf;
    this.#dialog.parts.back.onclick = () => this.#step(null);
    this.#dialog.onClose(() => onClose(this.#id));
  }

  show(room, id) {
    this.#room = room;
    this.#id = id;
    this.#member = null;
    this.#dialog.parts.status.textContent = '';
    this.#step(null);
    this.#readStatus(id);
  }

  async #readStatus(id) {
    // Guests say nothing of themselves, and what cannot be had now is left out.
    const { status } = await this.#profileOf(id).catch(() => ({ status: '' }));
    if (id === this.#id) this.#dialog.parts.status.textContent = status;
  }

  /** Follows what has changed in the room being shown, null if there is none. */
  draw(room) {
    if (!this.#dialog.isOpen) return;
    // In a crowded room only some are known by name at a time; whoever was chosen is still there for all that is known.
    const { members, summarised } = room?.people ?? {};
    const member = room === this.#room && (members?.get(this.#id) ?? (summarised && this.#member));
    const acts = member ? room.standing.acts(member) : [];
    if (!acts.length || (this.#act && !acts.includes(this.#act))) return this.#dialog.close();
    this.#member = member;
    this.#fill(member, acts);
  }

  #step(act) {
    this.#act = act;
    this.#drawn = '';
    this.#dialog.open(this.#dialog.parts.name);
    this.draw(this.#room);
  }

  #fill(member, acts) {
    const { parts } = this.#dialog;
    const look = [this.#act, member.name, member.role, remarks(member, this.#room), ...acts].join('\n');
    // What is the same stays, and keeps the keyboard's place.
    if (look === this.#drawn) return;
    this.#drawn = look;
    parts.avatar.replaceChildren(avatar({ ...member, state: '' }));
    parts.name.textContent = member.name;
    parts.remark.textContent = remarks(member, this.#room) || t('people.member');
    parts.lead.hidden = !this.#act;
    parts.lead.textContent = this.#act ? t(`act.${this.#act}Lead`, { names: member.name }) : '';
    parts.back.hidden = !this.#act;
    parts.acts.replaceChildren(...(this.#act ? this.#choices() : acts.map((act) => this.#actButton(act))));
  }

  #actButton(act) {
    const { step, icon: picture, grave } = ACTS[act];
    const button = this.#button(t(`act.${act}`), `act-${act}`, () => (step ? this.#step(act) : this.#do(act)), picture, t(`act.${act}Hint`));
    button.classList.toggle('grave', Boolean(grave));
    return button;
  }

  #choices() {
    const act = this.#act;
    if (ACTS[act].step === 'confirm') return [this.#button(t(`act.${act}Confirm`), 'confirm', () => this.#do(act))];
    return TIMES.map((seconds) => this.#button(seconds ? duration(seconds) : t('act.noEnd'), `for-${seconds ?? 'ever'}`,
      () => this.#do(act, seconds && { until: this.#room.standing.timeIn(seconds) })));
  }

  #button(text, testid, onclick, picture, hint) {
    return h('button', { class: 'act', type: 'button', dataset: { testid }, onclick },
      picture && icon(picture),
      h('span', { class: 'words' }, h('strong', {}, text), hint && h('small', {}, hint)));
  }

  async #do(act, more) {
    const { verb, fields } = ACTS[act];
    const buttons = [...this.#dialog.parts.acts.children];
    for (const button of buttons) button.disabled = true;
    try {
      await this.#room.act(verb, this.#id, { ...fields, ...more });
      this.#dialog.close();
    } catch (error) {
      this.#dialog.complain(errorText(error));
    }
    for (const button of buttons) button.disabled = false;
  }
}
