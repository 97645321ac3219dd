// The box where a message is written: Enter sends, Shift+Enter begins a line, and a half-composed syllable is never
// sent. It owns the text until it is sent, keeps a draft for each room, and tells the room that somebody is writing. Why
// nothing can be written or sent just now is `hold.js`'s; the box then keeps the text and the keyboard's place.

import { t } from '../i18n.js';
import { mark, parts } from './dom.js';
import { HoldView } from './hold.js';

const MOST = 4_000;
const COUNT_FROM = 3_500;
const COMPOSING = 229; // What older browsers report as keyCode while an input method is at work.

export class ComposerView {
  #form = document.querySelector('.composer');
  #parts = parts(this.#form);
  #hold = new HoldView(this.#parts, () => this.draw());
  #room = null;
  #sent;

  /** `sent()` is called after a message was handed over. */
  constructor(sent) {
    this.#sent = sent;
    const { text } = this.#parts;
    this.#form.onsubmit = (event) => {
      event.preventDefault();
      this.#send();
      text.focus();
    };
    text.onkeydown = (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing || event.keyCode === COMPOSING) return;
      event.preventDefault();
      this.#send();
    };
    text.oninput = () => {
      this.#room.draft = text.value;
      this.#room.type(text.value !== '');
      this.fit();
    };
  }

  show(room) {
    this.#room = room;
    this.#parts.text.value = room.draft;
    this.draw();
  }

  /** Closes or opens to what the room allows now. */
  draw() {
    const { text, send } = this.#parts;
    this.#hold.draw(this.#room);
    text.readOnly = this.#hold.closed;
    this.#form.classList.toggle('closed', this.#hold.closed);
    send.disabled = this.#hold.waits;
  }

  focus() {
    this.#parts.text.focus();
  }

  #send() {
    const { text } = this.#parts;
    if (this.#hold.waits || !text.value.trim() || [...text.value].length > MOST) return;
    this.#room.send(text.value);
    this.#room.draft = text.value = '';
    this.fit();
    this.#sent();
  }

  /** Makes the box as high as its text, and counts characters when they become scarce. Needs to be on the screen. */
  fit() {
    const { text, count } = this.#parts;
    // The form keeps its height while the text is measured, so that nothing else on the page moves for it.
    this.#form.style.minHeight = `${this.#form.offsetHeight}px`;
    text.style.height = 'auto';
    text.style.height = `${text.scrollHeight + text.offsetHeight - text.clientHeight}px`;
    this.#form.style.minHeight = '';
    const left = text.value.length < COUNT_FROM ? MOST : MOST - [...text.value].length;
    count.hidden = left > MOST - COUNT_FROM;
    const words = left < 0 ? t('compose.over', { count: -left }) : t('compose.left', { count: left });
    count.textContent = count.hidden ? '' : words;
    mark(text, 'aria-invalid', left < 0 && 'true');
  }
}
