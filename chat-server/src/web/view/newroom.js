// The dialog for a new room: a title, and whether the room is temporary. It owns the form and shows the server's
// objection at the field; making the room is the caller's.

import { errorText } from '../i18n.js';
import { mark, parts } from './dom.js';

export class NewRoomView {
  #dialog = document.getElementById('new-room');
  #form = this.#dialog.querySelector('form');
  #error = this.#form.querySelector('.field-error');

  /** `create(title, ephemeral)` promises that the room is there. */
  constructor(create) {
    parts(this.#dialog).cancel.addEventListener('click', () => this.#dialog.close());
    this.#dialog.addEventListener('click', (event) => event.target === this.#dialog && this.#dialog.close());
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
    this.#dialog.showModal();
    this.#form.elements.title.focus();
  }

  close() {
    this.#dialog.close();
  }

  #complain(text) {
    this.#error.textContent = text;
    mark(this.#form.elements.title, 'aria-invalid', text && 'true');
  }
}
