// The dialog with the room's settings, for its owner: who may invite, slow mode, and whether only the owner and moderators
// write. It owns the form, asks for a change of what differs from how it was opened, and says what is wrong with it.

import { duration, errorText, t } from '../i18n.js';
import { Dialog } from './dialog.js';
import { mark } from './dom.js';

const MOST_SLOW = 21_600;

export class SettingsView {
  #dialog = new Dialog('settings');
  #form = this.#dialog.form;
  #room = null;
  #before = null;

  constructor() {
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#save();
    });
    this.#form.addEventListener('input', () => this.#complain(''));
  }

  show(room) {
    this.#room = room;
    this.#before = room.standing.settings;
    const { invite, slow_s, read_only } = this.#form.elements;
    invite.value = this.#before.invite;
    slow_s.value = this.#before.slow_s;
    read_only.checked = this.#before.read_only;
    this.#complain('');
    this.#dialog.open(this.#dialog.parts.title);
  }

  /** Follows what has changed in the room being shown: settings are the owner's. */
  draw(room) {
    if (this.#dialog.isOpen && (room !== this.#room || !room?.standing.owns)) this.#dialog.close();
  }

  async #save() {
    const { invite, slow_s, read_only } = this.#form.elements;
    const seconds = Number(slow_s.value);
    if (!slow_s.value.trim() || !Number.isInteger(seconds) || seconds < 0 || seconds > MOST_SLOW) {
      this.#complain(t('settings.slowWrong', { most: MOST_SLOW, time: duration(MOST_SLOW) }), slow_s);
      return slow_s.focus();
    }
    const wanted = { invite: invite.value, slow_s: seconds, read_only: read_only.checked };
    const changed = Object.entries(wanted).filter(([name, value]) => value !== this.#before[name]);
    const button = this.#form.querySelector('.primary');
    button.disabled = true;
    try {
      if (changed.length) await this.#room.ask('configure', Object.fromEntries(changed));
      this.#dialog.close();
    } catch (error) {
      this.#complain(errorText(error));
    }
    button.disabled = false;
  }

  #complain(text, field) {
    this.#dialog.complain(text);
    mark(this.#form.elements.slow_s, 'aria-invalid', field && 'true');
  }
}
