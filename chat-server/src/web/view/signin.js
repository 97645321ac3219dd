// The first screen: a nickname, and in. It owns the form and the error beside the field; what a token is good for
// afterwards is the caller's.

import { errorText } from '../i18n.js';
import { mark, parts } from './dom.js';

export class SigninView {
  #root = document.getElementById('signin');
  #form = this.#root.querySelector('form');
  #note = parts(this.#root).note;
  #error = this.#form.querySelector('.field-error');

  /** `enter(nickname)` promises that the person is in, or rejects with what is wrong with the name. */
  constructor(enter) {
    this.#form.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = this.#form.querySelector('button');
      button.disabled = true;
      try {
        await enter(this.#form.nickname.value);
        this.#complain('');
      } catch (error) {
        this.#complain(errorText(error));
        this.#form.nickname.focus();
      }
      button.disabled = false;
    });
  }

  /** `ended`: somebody was signed in here as `nickname` until now. */
  show({ ended = false, nickname } = {}) {
    this.#root.hidden = false;
    this.#note.hidden = !ended;
    if (nickname) this.#form.nickname.value = nickname;
    this.#form.nickname.focus();
  }

  hide() {
    this.#root.hidden = true;
  }

  #complain(text) {
    this.#error.textContent = text;
    mark(this.#form.nickname, 'aria-invalid', text && 'true');
  }
}
