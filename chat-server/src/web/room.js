// One room as this page knows it: its messages, people, our unsent messages, and how we are in it (joining, live, out of
// date, no longer a member, gone). It turns what the server answers and announces into that state, so that no message is
// lost or doubled. It owns no socket and nothing of the screen.

import { Emitter } from './emitter.js';
import { PAGE, History } from './history.js';
import { Notices } from './notices.js';
import { Outbox } from './outbox.js';
import { later, pauseAfter } from './pause.js';
import { GONE, People } from './people.js';
import { Standing } from './standing.js';
import { Timeline } from './timeline.js';

const AMENDS = ['edited', 'deleted']; // What becomes of messages.
const MOST_KEPT = 1_000; // Of a long conversation this many messages stay loaded; older ones come back by scrolling.
const TYPING_EVERY = 3_000;

/**
 * Emits `changed` whenever anything of it did, `wrote` with each new message of others, `barred` when somebody was banned
 * or a ban was lifted, and `ended` when it is no more.
 */
export class Room extends Emitter {
  /** `joining`, `live`, `stale` (not heard at present), `outside` (not a member), `gone` or `refused` (see `error`). */
  state = 'joining';
  error = null;
  /** The event with which we were taken out, if we were. */
  ending = null;
  info;
  timeline = new Timeline();
  notices = new Notices();
  unread = 0;
  draft = '';
  /** Set by whoever shows the room: somebody looks at it, and at its older messages. */
  watched = false;
  readingBack = false;
  #connection;
  #cursor = null;
  #attempt = 0;
  #saidTypingAt = 0;
  #cancelReturn = () => {};

  constructor(id, user, connection) {
    super();
    this.id = id;
    this.user = user;
    this.info = { id, title: '' };
    this.#connection = connection;
    const now = () => connection.now;
    const ready = () => this.state === 'live';
    const changed = () => this.#changed();
    const ask = (verb, fields) => this.ask(verb, fields);
    this.people = new People({ now, ask, changed });
    this.standing = new Standing(now, this.people.mutes);
    this.outbox = new Outbox(id, user.id, { ready, changed, send: (text, key) => ask('send', { text, key }) });
    const took = (messages) => this.#messages(messages);
    const saw = (messages) => this.#saw(messages);
    this.history = new History(this.timeline, { ready, changed, ask, saw, took, startOver: () => this.join() });
  }

  get me() {
    return this.standing.me;
  }

  /** Where to go on hearing this room after a reconnection; null if it was never heard. */
  get cursor() {
    return this.state === 'stale' ? this.#cursor : null;
  }

  /** Joins, or joins again. With `after` the answer carries what was missed since; without, the latest messages. */
  async join(after) {
    if (!after) this.#become('joining');
    try {
      this.#take(await this.ask('join', after ? { after } : { limit: PAGE }), Boolean(after));
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
      case 'settings':
      case 'edited':
      case 'deleted': return this.#change(event);
      case 'presence': return this.#presence(event);
      case 'renamed': return this.people.renamed(event.user);
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
    this.ask('typing', { on }).catch(() => {});
  }

  /** Gives a command about this room and promises its answer. */
  ask(verb, fields) {
    return this.#connection.command(verb, { room: this.id, ...fields }).catch((error) => {
      this.standing.refused(error);
      this.#changed();
      throw error;
    });
  }

  /** Acts upon a user by `mute`, `kick` and so on. */
  async act(verb, user, fields) {
    await this.ask(verb, { user, ...fields });
    // Of what was so already nobody is told; that it was, the answer says.
    if (verb === 'mute' || verb === 'unmute') this.people.member({ change: `${verb}d`, user: { id: user }, ...fields });
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
    Object.assign(this, { info: answer.room, error: null, ending: null });
    this.#cursor = answer.cursor;
    this.#attempt = 0;
    this.state = 'live';
    if (continues && !answer.reset) {
      for (const change of answer.changes) this.#change(change);
      // These are as they are now.
      this.#messages(answer.messages);
    } else {
      this.notices.clear();
      this.people.mutes.clear();
      this.#saw(answer.messages);
      this.timeline.replace(answer.messages);
      this.outbox.settle(this.timeline.last);
    }
    // What holds now counts more than what has changed on the way to it.
    this.people.replace(answer.members);
    this.standing.take(answer);
    this.#changed();
    this.history.fill();
    this.outbox.flush();
  }

  /** Messages that the server has just given name their authors as they are called now. */
  #saw(messages) {
    this.people.names.learn(messages.map(({ from }) => from));
  }

  #messages(messages) {
    this.#saw(messages);
    for (const message of messages.flatMap((one) => this.timeline.add(one))) {
      this.standing.wrote(message);
      this.people.wrote(message.from.id);
      if (message.from.id === this.user.id || message.deleted) continue;
      if (!this.watched) this.unread += 1;
      this.emit('wrote', message);
    }
    if (!this.readingBack) this.timeline.trim(MOST_KEPT);
    this.outbox.settle(this.timeline.last);
    this.#changed();
    if (this.timeline.hasGap) this.history.fill();
  }

  #member(event) {
    const { moderates } = this.standing;
    this.#change(event);
    this.people.member(event);
    if (event.change === 'banned' || event.change === 'unbanned') this.emit('barred', event);
    // Whom we may act upon depends on roles of which some were guesses so far.
    if (this.standing.moderates && !moderates) this.people.relist();
    if (!GONE.includes(event.change) || event.user.id !== this.user.id) return;
    this.ending = event;
    if (event.change === 'banned') this.#shutOut(event.until);
    else this.#become('outside');
  }

  /** What an event and a missed change have in common. */
  #change(event) {
    if (AMENDS.includes(event.event)) {
      this.timeline.amend(event);
      return this.#changed();
    }
    const { user, by, change } = event;
    this.people.names.learn([user, by]);
    this.people.mutes.hear(event);
    this.notices.add(event, this.standing.settings);
    this.standing.hear(event);
    if (change === 'erased') this.timeline.erase(user.id);
    this.#changed();
  }

  /** The server stopped telling us of this room, because we read too slowly, until we ask for what we missed. */
  #behind(after) {
    this.#become('stale');
    this.join(after);
  }

  #presence(event) {
    // The room is no longer crowded; who of those in the last summary is still there, nobody has said.
    const { summarised } = this.people;
    const guessed = this.people.presence(event);
    if (summarised || (guessed && this.standing.moderates)) this.people.relist();
  }

  /** The server does not let us hear this room: for good, or `again` is called after a pause. */
  #refused(error, again) {
    if (error.code === 'connection_lost') return;
    Object.assign(this, { error, ending: null });
    // A link to something that is no room's id at all leads nowhere just the same.
    if (error.code === 'no_such_room' || error.field === 'room') this.#end();
    else if (error.code === 'not_a_member') this.#become('outside');
    else if (!error.retry) this.#shutOut(error.until);
    else setTimeout(() => this.#connection.isOpen && this.state !== 'live' && again(), pauseAfter(this.#attempt++));
  }

  /** Nothing can be done about it, unless it ends: then we may join again. */
  #shutOut(until) {
    this.#become('refused');
    this.#cancelReturn();
    if (!until) return;
    const mayReturn = () => this.state === 'refused' && this.#become('outside');
    this.#cancelReturn = later(Date.parse(until) - this.#connection.now, mayReturn);
  }

  #end() {
    this.#become('gone');
    this.emit('ended');
  }

  #become(state) {
    this.state = state;
    this.#changed();
  }

  #changed() {
    this.emit('changed');
  }
}
