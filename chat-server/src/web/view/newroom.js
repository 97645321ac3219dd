// The dialog for a new room: a title, and whether the room is temporary. It owns the form and shows the server's
// objection at the field; making the room is the caller's.

import { errorText } from '../i18n.js';
import { Dialog } from './dialog.js';
import { mark } from './dom.js';

export class NewRoomView {
  #dialog = new Dialog('new-room');
  #form = this.#dialog.form;

  /** `create(title, ephemeral)` promises that the room is there. */
  constructor(create) {
    this.#form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = this.#form.querySelector('.primary');
      button.disabled = true;
      try {
        await create(this.#form.elements.title.value, this.#form.ephemeral.checked);
        this.#dialog.close();
      } catch (error) {
        this.#complain(errorText(error));
        this.#form.elements.title.focus();
      }
      button.disabled = false;
    });
  }

  show() {
    this.#form.reset();
    this.#complain('');
    this.#dialog.open(this.#form.elements.title);
  }

  close() {
    this.#dialog.close();
  }

  #complain(text) {
    this.#dialog.complain(text);
    mark(this.#form.elements.title, 'aria-invalid', text && 'true');
  }
}
