// The messages on the screen and where the reader stands among them: at the newest, following it, or further up, where
// nothing may move under their eyes. It owns the scroll position, loads older messages near the top, and counts those
// that arrive below. What the items are is `items.js`'s.

import { t } from '../i18n.js';
import { keepInStep, mark, parts } from './dom.js';
import { itemsOf } from './items.js';

const NEAR = 80; // This close to the bottom is at the bottom.
const LOAD_AHEAD = 400; // Older messages are asked for this long before the top is reached.

export class LogView {
  #parts = parts(document.querySelector('.log-frame'));
  #log = this.#parts.log;
  #room = null;
  #following = true;
  #followedTo = 0; // Where it stood when it last was at the newest.
  #missed = 0;
  #hushed = 0;
  #stopListening = () => {};

  constructor() {
    this.#log.onscroll = () => this.#scrolled();
    this.#parts.newer.onclick = () => {
      this.toNewest();
      this.#log.focus({ preventScroll: true });
    };
    new ResizeObserver(() => this.#following && this.#jump()).observe(this.#log);
  }

  show(room) {
    this.#stopListening();
    if (this.#room) this.#room.readingBack = false;
    this.#room = room;
    this.#parts.items.replaceChildren();
    this.#hush();
    this.#follow(true);
    this.#stopListening = room.on('wrote', () => {
      if (!this.#following) this.#missed += 1;
    });
    this.draw();
  }

  draw() {
    const { timeline, history, info, state } = this.#room;
    if (this.#following && this.#leftUnheard()) this.#follow(false);
    const anchor = this.#following ? null : this.#anchor();
    if (history.loading) this.#hush();
    this.#parts.older.hidden = !history.loading;
    this.#parts.begins.hidden = timeline.hasOlder || state === 'joining';
    this.#parts['begins-title'].textContent = t('room.begins', { title: info.title });
    this.#parts['begins-text'].hidden = !info.ephemeral;
    keepInStep(this.#parts.items, itemsOf(this.#room));
    if (anchor) this.#log.scrollTop += anchor.element().getBoundingClientRect().bottom - anchor.bottom;
    else this.#jump();
    this.#drawNewer();
    if (this.#log.clientHeight) this.#loadIfNearTop();
  }

  /** Goes to the newest message and stays there. */
  toNewest() {
    this.#follow(true);
    this.#jump();
    this.#drawNewer();
  }

  #scrolled() {
    if (!this.#room || !this.#log.clientHeight) return;
    this.#follow(this.#below() < NEAR);
    this.#drawNewer();
    this.#loadIfNearTop();
  }

  #below() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight;
  }

  /** The reader has scrolled up, but the browser says so only with its next frame, and something is drawn before that. */
  #leftUnheard() {
    return this.#log.scrollTop < this.#followedTo && this.#below() >= NEAR;
  }

  #loadIfNearTop() {
    if (this.#log.scrollTop < LOAD_AHEAD) this.#room.history.loadOlder();
  }

  #follow(following) {
    this.#following = following;
    this.#room.readingBack = !following;
    if (!following) return;
    this.#missed = 0;
    this.#followedTo = this.#log.scrollTop;
  }

  #jump() {
    this.#log.scrollTop = this.#log.scrollHeight;
    this.#followedTo = this.#log.scrollTop;
  }

  /** What was said long ago is not read out as if it were said now. */
  #hush() {
    clearTimeout(this.#hushed);
    this.#log.setAttribute('aria-live', 'off');
    this.#hushed = setTimeout(() => this.#log.setAttribute('aria-live', 'polite'), 1_000);
  }

  #drawNewer() {
    this.#parts.newer.hidden = this.#following;
    this.#parts['newer-text'].textContent = this.#missed ? t('room.newer', { count: this.#missed }) : '';
    mark(this.#parts.newer, 'aria-label', !this.#missed && t('room.newest'));
  }

  /**
   * The first message in sight and where it ends: its upper edge moves when it loses its sender's name to an older
   * message of the same group. Its element may be made anew, so it is found again by its `seq`.
   */
  #anchor() {
    const { top } = this.#log.getBoundingClientRect();
    const messages = [...this.#parts.items.querySelectorAll('[data-seq]')];
    const first = messages.find((item) => item.getBoundingClientRect().bottom > top);
    if (!first) return null;
    const { seq } = first.dataset;
    return {
      bottom: first.getBoundingClientRect().bottom,
      element: () => this.#parts.items.querySelector(`[data-seq="${seq}"]`) ?? first,
    };
  }
}
