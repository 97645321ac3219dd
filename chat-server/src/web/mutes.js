// Who in one room is muted, and until when: as the server says of everybody whom it lists, and tells when it changes. It
// owns that and the timer for the next mute that ends; it calls `changed`. It outlasts a membership, as mutes do.

import { later } from './pause.js';

const NO_END = Infinity;

export class Mutes {
  /** By user's id, when the mute ends, in milliseconds. */
  #ends = new Map();
  #now;
  #changed;
  #cancel = () => {};

  /** `now()` is the server's time. */
  constructor(now, changed) {
    this.#now = now;
    this.#changed = changed;
  }

  /** Starts over. */
  clear() {
    this.#ends.clear();
    this.#wake();
  }

  /** `{until}`, a date or null for no end; null for somebody who is not muted. */
  of(id) {
    const end = this.#ends.get(id);
    return end > this.#now() ? { until: end === NO_END ? null : new Date(end) } : null;
  }

  /** Takes members as the server lists them. */
  take(members) {
    for (const { id, muted, muted_until } of members) this.#keep(id, muted, muted_until);
    this.#wake();
  }

  /** Takes what an event or a missed change says. */
  hear({ change, user, until }) {
    if (change === 'muted' || change === 'unmuted') this.set(user.id, change === 'muted', until);
  }

  /** This user is muted until then, or without an end; or is not. */
  set(id, muted, until) {
    this.#keep(id, muted, until);
    this.#wake();
    this.#changed();
  }

  #keep(id, muted, until) {
    if (muted) this.#ends.set(id, until ? Date.parse(until) : NO_END);
    else this.#ends.delete(id);
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
