// Messages of ours that the room has not shown us yet, in the order they were written. Each is sent, one after another,
// with the same key until the server has answered, over as many connections as it takes; a refused one waits for its
// writer to decide. It owns these entries and keeps them over a reload; it leaves out when the room can be written to.

import { pauseAfter, wait } from './pause.js';
import { recall, remember } from './storage.js';

const LONGEST_SLOW = 10_000; // Slow mode may end sooner than it said.

/**
 * A key that nobody else makes: a UUID of version 7 (RFC 9562). It begins with the time, which is what databases store
 * fastest.
 */
export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  new DataView(bytes.buffer).setBigUint64(0, (BigInt(Date.now()) << 16n) | BigInt(0x7000 | ((bytes[6] & 0x0f) << 8) | bytes[7]));
  bytes[8] = 0x80 | (bytes[8] & 0x3f);
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
  return hex.replace(/(.{8})(.{4})(.{4})(.{4})(.{12})/, '$1-$2-$3-$4-$5');
}

/**
 * An entry: `key`, `text`, `at` (when it was written), `after` (the newest `seq` then), `state` (`waiting`, `sending`,
 * `sent`, `failed`), `unsure` (sent once, and the answer was lost), `error`, and `seq` once it is answered.
 */
export class Outbox {
  entries = [];
  #room;
  #userId;
  #ready;
  #send;
  #changed;
  #draining = false;

  /**
   * `ready()` says whether the room can be written to now, `send(text, key)` promises the server's answer, `changed()`
   * hears of every change.
   */
  constructor(roomId, userId, { ready, send, changed }) {
    this.#room = roomId;
    this.#userId = userId;
    this.#ready = ready;
    this.#send = send;
    this.#changed = changed;
    this.#restore();
  }

  add(text, after) {
    this.entries.push({ key: newKey(), text, after, at: new Date().toISOString(), state: 'waiting' });
    this.#keep();
    this.flush();
  }

  /** Sends what waits, oldest first. Ends when nothing waits or the room is not ready. */
  async flush() {
    if (this.#draining) return;
    this.#draining = true;
    let attempt = 0;
    const next = () => this.#ready() && this.entries.find(({ state }) => state === 'waiting');
    for (let entry; (entry = next()); ) {
      entry.state = 'sending';
      this.#changed();
      try {
        const { seq } = await this.#send(entry.text, entry.key);
        Object.assign(entry, { state: 'sent', seq });
        attempt = 0;
      } catch (error) {
        entry.state = error.retry ? 'waiting' : 'failed';
        entry.error = error;
        if (error.code === 'connection_lost') entry.unsure = true;
        else if (error.code === 'slow_mode') await wait(Math.min((error.limit - error.actual) * 1_000, LONGEST_SLOW));
        else if (error.retry) await wait(pauseAfter(attempt++));
      }
      this.#keep();
    }
    this.#draining = false;
    this.#keep();
  }

  /** Drops what the room shows by now: everything answered whose `seq` is not beyond `last`. */
  settle(last) {
    const left = this.entries.filter(({ seq }) => seq === undefined || seq > last);
    if (left.length === this.entries.length) return;
    this.entries = left;
    this.#keep();
  }

  /** Sends a failed entry again. A key that belongs to another message is of no use, so that gets a new one. */
  retry(key) {
    const entry = this.entries.find((one) => one.key === key);
    if (!entry || entry.state !== 'failed') return;
    if (entry.error?.code === 'key_conflict') entry.key = newKey();
    Object.assign(entry, { state: 'waiting', error: undefined });
    this.flush();
  }

  discard(key) {
    this.entries = this.entries.filter((entry) => entry.key !== key);
    this.#keep();
  }

  /**
   * The entries to show below `messages`. After a lost answer, a message of ours may be in the room already while its
   * entry still asks for its `seq`; showing both would look like a double. Only the look is guessed here: the answer
   * decides, and if the guess was wrong the entry's own message comes.
   */
  toShow(messages) {
    const taken = new Set();
    return this.entries.filter((entry) => {
      if (!entry.unsure || entry.state === 'failed') return true;
      const same = messages.find(({ seq, from, text }) =>
        seq > entry.after && from.id === this.#userId && text === entry.text && !taken.has(seq));
      if (same) taken.add(same.seq);
      return !same;
    });
  }

  #keep() {
    const unanswered = this.entries.filter(({ seq }) => seq === undefined);
    const kept = unanswered.map(({ key, text, at, after }) => ({ key, text, at, after, user: this.#userId }));
    remember(`outbox.${this.#room}`, kept.length ? kept : null);
    this.#changed();
  }

  #restore() {
    // A key belongs to its user. Under a new identity, sending again could double what the old one already sent.
    this.entries = (recall(`outbox.${this.#room}`) ?? []).map(({ user, ...entry }) =>
      user === this.#userId
        ? { ...entry, state: 'waiting', unsure: true }
        : { ...entry, state: 'failed', error: { code: 'unsure' }, after: 0 });
  }
}
