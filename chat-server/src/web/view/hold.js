// The line above the composer that says why nothing can be written just now, or how slowly: muted, read-only, slow mode.
// It owns the line and its second hand, and says whether the box is closed, or only its button.

import { countdown, duration, ending, t } from '../i18n.js';
import { icon, mark } from './dom.js';

const ICONS = { muted: 'mute', readOnly: 'lock', slow: 'clock' };

export class HoldView {
  #parts;
  #room = null;
  #second = 0;
  #changed;

  /** `parts` are the line's; `changed()` is called when a wait has ended. */
  constructor(parts, changed) {
    this.#parts = parts;
    this.#changed = changed;
  }

  /** Nothing may be typed. */
  get closed() {
    return ['muted', 'readOnly'].includes(this.#hold?.why);
  }

  /** Nothing may be sent, though perhaps typed: in slow mode, also while a message is on its way. */
  get waits() {
    if (this.#hold?.why !== 'slow') return this.closed;
    return this.#hold.left > 0 || this.#room.outbox.entries.some(({ state }) => state !== 'failed');
  }

  draw(room) {
    this.#room = room;
    const hold = this.#hold;
    const text = hold ? this.#text(hold) : '';
    mark(this.#parts.hold, 'data-why', hold?.why);
    // Written only when it differs, so that it is not read out again.
    if (this.#parts['hold-text'].textContent !== text) {
      this.#parts['hold-text'].textContent = text;
      this.#parts['hold-icon'].replaceChildren(...(hold ? [icon(ICONS[hold.why])] : []));
    }
    this.#count();
  }

  #text({ why, until, every }) {
    if (why === 'slow') return t('hold.slow', { every: duration(every) });
    return until ? t('hold.mutedUntil', { until: ending(until) }) : t(`hold.${why}`);
  }

  get #hold() {
    return this.#room?.standing.hold;
  }

  #count() {
    clearTimeout(this.#second);
    const left = this.#hold?.left ?? 0;
    this.#parts['hold-left'].textContent = left ? countdown(left) : '';
    if (!left) return;
    // At the next full second the clock shows another number; after the last one it is over.
    this.#second = setTimeout(() => {
      this.#count();
      if (!this.#hold?.left) this.#changed();
    }, left % 1_000 || 1_000);
  }
}
