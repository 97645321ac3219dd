// Who in one room is muted, and until when, as far as this page has heard: the server tells each mute when it happens and
// lists none, so of somebody who was muted before we came, nothing is known until it is heard. It owns that knowledge and
// the timer for the next mute that ends; it calls `changed`.

import { later } from './pause.js';

const NO_END = Infinity;
const NOT_MUTED = 0;

export class Mutes {
  /** By user's id, when the mute ends, in milliseconds. */
  #ends = new Map();
  #complete = false;
  #now;
  #changed;
  #cancel = () => {};

  /** `now()` is the server's time. */
  constructor(now, changed) {
    this.#now = now;
    this.#changed = changed;
  }

  /** Starts over. `complete`: nobody is muted yet, as in a room that was just made. */
  forget(complete = false) {
    this.#complete = complete;
    this.#ends.clear();
    this.#wake();
  }

  /** `{until}`, a date or null for no end; null for somebody who is not muted; undefined if that is not known. */
  of(id) {
    const end = this.#ends.get(id) ?? (this.#complete ? NOT_MUTED : undefined);
    if (end === undefined) return undefined;
    return end > this.#now() ? { until: end === NO_END ? null : new Date(end) } : null;
  }

  /** Takes what an event or a missed change says. */
  hear({ change, user, until }) {
    if (change === 'muted') this.set(user.id, until);
    else if (change === 'unmuted') this.#ends.set(user.id, NOT_MUTED);
  }

  /** This user is muted until then, or without an end. */
  set(id, until) {
    this.#ends.set(id, until ? Date.parse(until) : NO_END);
    this.#wake();
    this.#changed();
  }

  #wake() {
    this.#cancel();
    const now = this.#now();
    const next = Math.min(...[...this.#ends.values()].filter((end) => end > now));
    this.#cancel = next === NO_END ? () => {} : later(next - now, () => {
      this.#wake();
      this.#changed();
    });
  }
}
