// The first screen: in as a guest with a nickname, in with an account, or a new account. It owns the form and the error
// beside it; what comes of signing in is the caller's.

import { errorText, t } from '../i18n.js';
import { mark, parts } from './dom.js';

/** What each way in asks for, and where else one may go from it. */
const WAYS = {
  guest: { fields: ['nickname'], others: ['account', 'new'] },
  account: { fields: ['username', 'password'], others: ['new', 'guest'] },
  new: { fields: ['username', 'nickname', 'password'], others: ['account', 'guest'] },
};

export class SigninView {
  #root = document.getElementById('signin');
  #form = this.#root.querySelector('form');
  #parts = parts(this.#root);
  #way = 'guest';
  #mayGoBack = false;

  /** `enter[way](fields)` promises that the person is in, or rejects with what is wrong; `back` is for who is in already. */
  constructor(enter, back) {
    this.#form.addEventListener('submit', async (event) => {
      event.preventDefault();
      this.#parts.enter.disabled = true;
      try {
        const { fields } = WAYS[this.#way];
        await enter[this.#way](Object.fromEntries(fields.map((name) => [name, this.#form[name].value])));
        this.#complain();
        this.#form.password.value = '';
      } catch (error) {
        this.#complain(error);
      }
      this.#parts.enter.disabled = false;
    });
    for (const way of Object.keys(WAYS)) this.#parts[`to-${way}`].onclick = () => this.#go(way);
    this.#parts.back.onclick = back;
  }

  /** `note`: the text about what was until now. `guest`: who is about to get an account. */
  show({ note = null, nickname, way = 'guest', guest = null } = {}) {
    this.#root.hidden = false;
    this.#mayGoBack = guest !== null;
    this.#parts.note.hidden = !note;
    this.#parts.note.textContent = note ? t(note) : '';
    if (nickname) this.#form.nickname.value = nickname;
    else this.#form.reset();
    this.#go(guest ? 'new' : way);
  }

  hide() {
    this.#root.hidden = true;
  }

  #go(way) {
    this.#way = way;
    this.#complain();
    const { fields, others } = WAYS[way];
    for (const label of this.#form.querySelectorAll('[data-field]')) label.hidden = !fields.includes(label.dataset.field);
    for (const other of Object.keys(WAYS)) this.#parts[`to-${other}`].hidden = this.#mayGoBack || !others.includes(other);
    this.#parts.back.hidden = !this.#mayGoBack;
    this.#parts.title.textContent = t(`signin.${way}.title`);
    this.#parts.lead.textContent = t(this.#mayGoBack ? 'signin.keep.lead' : `signin.${way}.lead`);
    this.#parts.enter.textContent = t(`signin.${way}.enter`);
    this.#form.password.autocomplete = way === 'new' ? 'new-password' : 'current-password';
    this.#form[fields[0]].focus();
  }

  /** Shows what is wrong, at the field if it is one's; nothing takes it away. */
  #complain(error) {
    for (const input of this.#form.querySelectorAll('[data-field] input')) mark(input, 'aria-invalid', error && (!error.field || input.name === error.field) && 'true');
    this.#parts.error.textContent = error ? errorText(error) : '';
    if (error) (this.#form[error.field] ?? this.#form[WAYS[this.#way].fields[0]]).focus();
  }
}
