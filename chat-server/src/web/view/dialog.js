// What every dialog has: it opens over the page, closes by its button, a click beside it or Escape, and says in words what
// went wrong in it. It owns nothing of what a dialog is for.

import { parts } from './dom.js';

export class Dialog {
  parts;
  #root;

  constructor(id) {
    this.#root = document.getElementById(id);
    this.parts = parts(this.#root);
    this.parts.cancel.addEventListener('click', () => this.close());
    this.#root.addEventListener('click', (event) => event.target === this.#root && this.close());
  }

  get isOpen() {
    return this.#root.open;
  }

  get form() {
    return this.#root.querySelector('form');
  }

  /** Opens it; `focus` is where the keyboard begins. */
  open(focus) {
    this.complain('');
    if (!this.isOpen) this.#root.showModal();
    focus.focus();
  }

  close() {
    if (this.isOpen) this.#root.close();
  }

  /** Calls `listener` whenever it has been closed, whichever way. */
  onClose(listener) {
    this.#root.addEventListener('close', listener);
  }

  complain(text) {
    this.parts.error.textContent = text;
  }
}
