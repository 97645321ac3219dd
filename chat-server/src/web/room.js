// One room as this page knows it: its messages, people, our unsent messages, and where we stand with it (joining, live,
// out of date, no longer a member, gone). It turns what the server answers and announces into that state, so
// that no message is lost or doubled. It owns no socket and nothing of the screen.

import { Emitter } from './emitter.js';
import { PAGE, History } from './history.js';
import { Outbox } from './outbox.js';
import { pauseAfter } from './pause.js';
import { GONE, People } from './people.js';
import { Timeline } from './timeline.js';

const MOST_KEPT = 1_000; // Of a long conversation this many messages stay loaded; older ones come back by scrolling.
const MOST_NOTICES = 200;
const TYPING_EVERY = 3_000;

/** Emits `changed` whenever anything of it did, `wrote` with each new message of others, and `ended` when it is no more. */
export class Room extends Emitter {
  /** `joining`, `live`, `stale` (not heard at present), `outside` (not a member), `gone` or `refused` (see `error`). */
  state = 'joining';
  error = null;
  info;
  me = null;
  timeline = new Timeline();
  people = new People(() => this.#changed());
  notices = [];
  unread = 0;
  draft = '';
  /** Set by whoever shows the room: somebody looks at it, and at its older messages. */
  watched = false;
  readingBack = false;
  #connection;
  #cursor = null;
  #attempt = 0;
  #saidTypingAt = 0;

  constructor(id, user, connection) {
    super();
    this.id = id;
    this.user = user;
    this.info = { id, title: '' };
    this.#connection = connection;
    const ready = () => this.state === 'live';
    const changed = () => this.#changed();
    const ask = (verb, fields) => this.#ask(verb, fields);
    this.outbox = new Outbox(id, user.id, { ready, changed, send: (text, key) => ask('send', { text, key }) });
    const took = (messages) => this.#messages(messages);
    this.history = new History(this.timeline, { ready, changed, ask, took, startOver: () => this.join() });
  }

  /** Where to go on hearing this room after a reconnection; null if it was never heard. */
  get cursor() {
    return this.state === 'stale' ? this.#cursor : null;
  }

  /** Joins, or joins again. With `after` the answer carries what was missed since; without, the latest messages. */
  async join(after) {
    if (!after) this.#become('joining');
    try {
      this.#take(await this.#ask('join', after ? { after } : { limit: PAGE }), Boolean(after));
    } catch (error) {
      this.#refused(error, () => this.join(after));
    }
  }

  /** Hears this room's event. */
  hear(event) {
    if (event.cursor) this.#cursor = event.cursor;
    switch (event.event) {
      case 'message': return this.#messages([event]);
      case 'member': return this.#member(event);
      case 'presence': return this.#presence(event);
      case 'typing': return this.people.typingEvent(event);
      case 'summary': return this.people.summary(event);
      case 'resumed': return this.#resumed(event);
      case 'behind': return this.#behind(event.after);
      case 'closed': return this.#end();
    }
  }

  /** The connection is lost. */
  interrupted() {
    this.people.quiet();
    if (this.state === 'live') this.#become('stale');
  }

  send(text) {
    this.outbox.add(text, this.timeline.last);
    this.#saidTypingAt = 0;
    this.#changed();
  }

  /** Tells the room that we are writing, not more often than it needs to hear, or that we stopped. */
  type(on) {
    const now = Date.now();
    if (this.state !== 'live' || (on ? now - this.#saidTypingAt < TYPING_EVERY : !this.#saidTypingAt)) return;
    this.#saidTypingAt = on ? now : 0;
    this.#ask('typing', { on }).catch(() => {});
  }

  /** Lists the next page of members, present or not. */
  async loadMembers() {
    const { next } = this.people;
    this.people.addPage(await this.#ask('members', { limit: 200, ...(next && { after: next }) }));
  }

  seen() {
    if (this.unread) {
      this.unread = 0;
      this.#changed();
    }
  }

  #resumed({ ok, error }) {
    if (ok) this.#take(ok, true);
    else this.#refused(error, () => this.emit('stranded'));
  }

  /** What `join` and `resumed` say. `continues` if it goes on from what we have. */
  #take(answer, continues) {
    Object.assign(this, { info: answer.room, me: answer.me, error: null });
    this.#cursor = answer.cursor;
    this.#attempt = 0;
    this.people.replace(answer.members);
    this.state = 'live';
    if (continues && !answer.reset) {
      for (const change of answer.changes) this.#notice(change);
      this.#messages(answer.messages);
    } else {
      this.notices = [];
      this.timeline.replace(answer.messages);
      this.outbox.settle(this.timeline.last);
    }
    this.#changed();
    this.history.fill();
    this.outbox.flush();
  }

  #messages(messages) {
    for (const message of messages.flatMap((one) => this.timeline.add(one))) {
      this.people.wrote(message.from.id);
      if (message.from.id === this.user.id) continue;
      if (!this.watched) this.unread += 1;
      this.emit('wrote', message);
    }
    if (!this.readingBack) this.timeline.trim(MOST_KEPT);
    this.outbox.settle(this.timeline.last);
    this.#changed();
    if (this.timeline.hasGap) this.history.fill();
  }

  #member(event) {
    this.#notice(event);
    this.people.member(event);
    if (GONE.includes(event.change) && event.user.id === this.user.id) this.#become('outside');
  }

  /** The server stopped telling us of this room, because we read too slowly, until we ask for what we missed. */
  #behind(after) {
    this.#become('stale');
    this.join(after);
  }

  #presence(event) {
    // The room is no longer crowded; who of those in the last summary is still there, nobody has said.
    const relist = this.people.summarised;
    this.people.presence(event);
    if (relist) this.#relist();
  }

  async #relist() {
    try {
      this.people.summarised = false;
      const { count, online, members } = await this.#ask('members', { online: true, limit: 200 });
      this.people.replace({ count, online, first: members });
    } catch {
      // The next answer to `join` or `resume` lists them.
    }
  }

  #notice({ change, user, at }) {
    if (change !== 'joined' && !GONE.includes(change)) return;
    const key = `${change}.${user.id}.${at}`;
    if (this.notices.some((notice) => notice.key === key)) return;
    this.notices = [...this.notices, { key, change, user, at }].slice(-MOST_NOTICES);
  }

  /** The server does not let us hear this room: for good, or `again` is called after a pause. */
  #refused(error, again) {
    if (error.code === 'connection_lost') return;
    this.error = error;
    // A link to something that is no room's id at all leads nowhere just the same.
    if (error.code === 'no_such_room' || error.field === 'room') this.#end();
    else if (error.code === 'not_a_member') this.#become('outside');
    else if (!error.retry) this.#become('refused');
    else setTimeout(() => this.#connection.isOpen && this.state !== 'live' && again(), pauseAfter(this.#attempt++));
  }

  #end() {
    this.#become('gone');
    this.emit('ended');
  }

  #ask(verb, fields) {
    return this.#connection.command(verb, { room: this.id, ...fields });
  }

  #become(state) {
    this.state = state;
    this.#changed();
  }

  #changed() {
    this.emit('changed');
  }
}
