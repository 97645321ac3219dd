// The list of open rooms with their live counts, asked for again every two seconds while somebody can see it. It owns
// what was searched for and how far the list was opened; which of the rooms we are in is `chat.js`'s.

import { Emitter } from './emitter.js';

const EVERY = 2_000;
const PAGE = 50;

/** Emits `changed` with each new list. */
export class Directory extends Emitter {
  rooms = [];
  hasMore = false;
  /** False until the first answer for the present search. */
  known = false;
  #query = '';
  #wanted = PAGE;
  #api;
  #mayAsk;
  #timer = 0;
  #asked = 0;

  /** `mayAsk()` says whether the server can be reached. */
  constructor(api, mayAsk) {
    super();
    this.#api = api;
    this.#mayAsk = mayAsk;
  }

  get query() {
    return this.#query;
  }

  search(query) {
    Object.assign(this, { known: false });
    this.#query = query;
    this.#wanted = PAGE;
    this.refresh();
  }

  more() {
    this.#wanted += PAGE;
    this.refresh();
  }

  stop() {
    clearTimeout(this.#timer);
    this.#asked += 1;
  }

  /** Asks now, and then again and again. An answer that was overtaken by a newer question is dropped. */
  async refresh() {
    clearTimeout(this.#timer);
    const turn = ++this.#asked;
    try {
      if (this.#mayAsk() && !document.hidden) await this.#load(turn);
    } catch {
      // The old list stays. What is wrong with the connection or the token, the connection is told as well, and why.
    }
    if (turn === this.#asked) this.#timer = setTimeout(() => this.refresh(), EVERY);
  }

  async #load(turn) {
    const rooms = [];
    let after;
    do {
      const limit = Math.min(200, this.#wanted - rooms.length);
      const page = await this.#api.rooms({ query: this.#query, limit, after });
      rooms.push(...page.rooms);
      after = page.next;
    } while (after && rooms.length < this.#wanted);
    if (turn !== this.#asked) return;
    Object.assign(this, { rooms, hasMore: Boolean(after), known: true });
    this.emit('changed');
  }
}
