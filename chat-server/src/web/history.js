// Fetching those of one room's messages that this page lacks: older ones, a page at a time, and those between what it has
// and what came ahead of it. It owns what is under way; the messages are the timeline's.

import { pauseAfter, wait } from './pause.js';

export const PAGE = 50;
const GAP_PAGE = 200;

export class History {
  /** Older messages are being fetched. */
  loading = false;
  #timeline;
  #room;
  #filling = false;

  /**
   * `room` is how it acts: `ready()` says whether it can be asked now, `ask(verb, fields)` asks, `saw(messages)` hears
   * of older ones, `took(messages)` takes what was missing, `startOver()` begins with the latest messages, `changed()`
   * hears of every change of `loading`.
   */
  constructor(timeline, room) {
    this.#timeline = timeline;
    this.#room = room;
  }

  async loadOlder() {
    if (this.loading || !this.#room.ready() || !this.#timeline.hasOlder) return;
    this.loading = true;
    this.#room.changed();
    const page = await this.#room.ask('history', { before: this.#timeline.first, limit: PAGE }).catch(() => ({ messages: [] }));
    this.#room.saw(page.messages);
    // Being near the top asks again; this only keeps it from asking in vain without a pause.
    if (!this.#timeline.prepend(page.messages)) await wait(pauseAfter(2));
    this.loading = false;
    this.#room.changed();
  }

  /** Fetches what is missing between the messages we have and those that came ahead of them. */
  async fill() {
    if (this.#filling) return;
    this.#filling = true;
    try {
      while (this.#timeline.hasGap && this.#room.ready()) {
        const { last } = this.#timeline;
        const { messages } = await this.#room.ask('history', { after: last, limit: GAP_PAGE });
        this.#room.took(messages);
        // The server has nothing there: what we hold is of no use, so start from its latest.
        if (this.#timeline.hasGap && this.#timeline.last === last) await this.#room.startOver();
      }
    } catch (error) {
      if (error.code !== 'connection_lost' && error.retry) setTimeout(() => this.fill(), pauseAfter(2));
    } finally {
      this.#filling = false;
    }
  }
}
