// The messages of one room as far as they are loaded: one unbroken run of `seq`, each once, in order. It owns that run
// and the messages that came ahead of it, and says which range is missing in between. It asks nobody for anything: the
// room fetches what is missing and puts it in here.

export class Timeline {
  messages = [];
  #ahead = new Map();
  #erased = new Set();

  get first() {
    return this.messages[0]?.seq ?? 0;
  }

  /** The newest `seq` of the run; what comes next is this plus one. */
  get last() {
    return this.messages.at(-1)?.seq ?? 0;
  }

  /** Numbers begin at 1, so whoever holds 1, or an empty room, has nothing older to load. */
  get hasOlder() {
    return this.first > 1;
  }

  /** Something newer is known, but not what comes right after `last`. */
  get hasGap() {
    return this.#ahead.size > 0;
  }

  /** Starts over with the room's latest messages. */
  replace(messages) {
    this.messages = [...messages];
    this.#ahead.clear();
  }

  /** Takes a message from anywhere; returns those that it made part of the run: none, itself, or more. */
  add(message) {
    if (message.seq <= this.last) return [];
    this.#ahead.set(message.seq, this.#read(message));
    const joined = [];
    for (let next = this.last + 1; this.#ahead.has(next); next += 1) {
      joined.push(this.#ahead.get(next));
      this.#ahead.delete(next);
      this.messages.push(joined.at(-1));
    }
    return joined;
  }

  /** Puts a page of older messages before the run, if it ends where the run begins. Says whether it did. */
  prepend(page) {
    const older = page.filter(({ seq }) => seq < this.first);
    if (older.at(-1)?.seq !== this.first - 1) return false;
    this.messages.unshift(...older.map((message) => this.#read(message)));
    return true;
  }

  /** Forgets what this user has written, also what is still on its way to us; the places stay. */
  erase(id) {
    this.#erased.add(id);
    this.messages = this.messages.map((message) => this.#read(message));
    for (const [seq, message] of this.#ahead) this.#ahead.set(seq, this.#read(message));
  }

  /** What a message says from now on: nothing, if it was deleted. */
  amend({ event, seq, text, at }) {
    const amended = (message) => {
      if (message?.seq !== seq || message.deleted) return message;
      return event === 'deleted' ? { ...message, text: '', deleted: true } : { ...message, text, edited: at };
    };
    this.messages = this.messages.map(amended);
    if (this.#ahead.has(seq)) this.#ahead.set(seq, amended(this.#ahead.get(seq)));
  }

  #read(message) {
    return this.#erased.has(message.from.id) && !message.deleted ? { ...message, text: '', deleted: true } : message;
  }

  /** Lets go of the oldest, so that `keep` are left; they can be loaded again. */
  trim(keep) {
    if (this.messages.length > keep) this.messages.splice(0, this.messages.length - keep);
  }
}
