// A form of which the server judges the fields: its button waits for the answer, and what is wrong is said in words at
// the field at fault, or, if it is no field's, wherever its dialog says such things. It owns none of the texts typed.

import { errorText } from '../i18n.js';
import { mark } from './dom.js';

export class Form {
  #root;
  #complain;

  /** `submit(values)` promises that it is done; `complain(text)` says what is wrong with none of the fields. */
  constructor(root, submit, complain) {
    this.#root = root;
    this.#complain = complain;
    root.addEventListener('submit', async (event) => {
      event.preventDefault();
      const button = root.querySelector('.primary');
      button.disabled = true;
      this.#forgive();
      try {
        await submit(this.values);
      } catch (error) {
        this.#blame(error);
      }
      button.disabled = false;
    });
    root.addEventListener('input', ({ target }) => this.#say(target, ''));
  }

  /** Every field that has a name, by it: a text, or whether it is checked. */
  get values() {
    const fields = [...this.#root.elements].filter(({ name }) => name);
    return Object.fromEntries(fields.map(({ name, type, value, checked }) => [name, type === 'checkbox' ? checked : value]));
  }

  /** Starts over. */
  reset(values = {}) {
    this.#root.reset();
    this.fill(values);
    this.#forgive();
  }

  /** Writes into these fields, by name. */
  fill(values) {
    for (const [name, value] of Object.entries(values)) this.#root.elements[name].value = value;
  }

  #forgive() {
    this.#complain('');
    for (const field of this.#root.elements) this.#say(field, '');
  }

  #blame(error) {
    const field = this.#root.elements[error.field];
    if (!field) return this.#complain(errorText(error));
    this.#say(field, errorText(error));
    field.focus();
  }

  #say(field, text) {
    mark(field, 'aria-invalid', text && 'true');
    const line = this.#root.querySelector(`[data-error="${field.name}"]`);
    if (line) line.textContent = text;
  }
}
