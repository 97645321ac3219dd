// Who is in one room: its counts, the members known by name with their state, and who is typing. In a crowded room the
// server sends summaries instead of each coming and going; then only the counts and some names are known. Who of them is
// muted is `mutes.js`'s, and what they are called `names.js`'s. It owns no connection: the room hands it events and a way
// to ask, and it calls `changed`.

import { Mutes } from './mutes.js';
import { Names } from './names.js';

const TYPING_LASTS = 7_000; // The server ends it after 6 seconds; this is for the case that nobody says so.

/** The changes with which a membership ends. */
export const GONE = ['left', 'kicked', 'banned'];

export class People {
  count = 0;
  online = 0;
  /** By id. One with `guessed` is known from an event, which leaves out a role or a mute from before. */
  members = new Map();
  names = new Names();
  /** True once only a summary is known, until the members are listed anew. */
  summarised = false;
  /** Where to go on listing members: undefined before the first page, null after the last. */
  next = undefined;
  /** Grows with every change, so that nothing is drawn twice. */
  revision = 0;
  #typing = new Map();
  #listing = false;
  #due = false;
  #ask;
  #changed;

  /** `now()` is the server's time, `ask(verb, fields)` promises the room's answer. */
  constructor({ now, ask, changed }) {
    this.#ask = ask;
    this.#changed = () => {
      this.revision += 1;
      changed();
    };
    this.mutes = new Mutes(now, this.#changed);
  }

  /** Those writing now, without `exceptId`. */
  typing(exceptId) {
    return [...this.#typing.values()].map(({ user }) => this.names.now(user)).filter(({ id }) => id !== exceptId);
  }

  /** What `join` says of the members: counts and the first of those present. */
  replace({ count, online, first }) {
    Object.assign(this, { count, online, summarised: false, next: undefined });
    this.members = new Map();
    this.#list(first);
    this.quiet();
  }

  /** Lists the next page of members, present or not. */
  async loadMore() {
    const page = await this.#ask('members', { limit: 200, ...(this.next && { after: this.next }) });
    this.next = page.next ?? null;
    this.#merge(page);
  }

  /**
   * Lists those present anew, because they are not known, or their roles or mutes are not. While an answer is awaited,
   * one more question is enough for however many reasons.
   */
  async relist() {
    this.#due = true;
    if (this.#listing) return;
    for (this.#listing = true; this.#due; ) {
      this.#due = false;
      await this.#listPresent();
    }
    this.#listing = false;
  }

  async #listPresent() {
    const { summarised } = this;
    try {
      this.summarised = false;
      const page = await this.#ask('members', { online: true, limit: 200 });
      if (summarised) this.replace({ ...page, first: page.members });
      else this.#merge(page);
    } catch {
      // The next answer to `join` or `resume` lists them.
    }
  }

  #merge({ count, online, members }) {
    Object.assign(this, { count, online });
    this.#list(members);
    this.#changed();
  }

  #list(members) {
    for (const member of members) this.members.set(member.id, member);
    this.mutes.take(members);
    this.names.learn(members);
  }

  /** A member came, went, or has another role. */
  member({ change, user, role, by, members, online }) {
    if (members !== undefined) Object.assign(this, { count: members, online });
    if (GONE.includes(change)) {
      this.members.delete(user.id);
      this.#stopTyping(user.id);
    } else if (change === 'joined' && !this.members.has(user.id)) {
      this.members.set(user.id, { ...user, role, state: 'offline', devices: 0, guessed: true });
    } else if (change === 'role' || change === 'transferred') {
      this.#role(user, role);
      if (change === 'transferred' && by) this.#role(by, 'moderator');
    }
    this.#changed();
  }

  #role(user, role) {
    const known = this.members.get(user.id);
    if (known) this.members.set(user.id, { ...known, role });
  }

  /** Says whether something is guessed of this member that a list of those present would tell. */
  presence({ user, state, devices, online }) {
    this.online = online;
    const known = this.members.get(user.id) ?? { role: 'member', guessed: true };
    this.members.set(user.id, { ...known, ...user, state, devices });
    if (state === 'offline') this.#stopTyping(user.id);
    this.#changed();
    return known.guessed === true && state !== 'offline';
  }

  /** Somebody is called otherwise from now on. */
  renamed(user) {
    const known = this.members.get(user.id);
    if (known) this.members.set(user.id, { ...known, ...user });
    this.names.learn([user]);
    this.#changed();
  }

  summary({ members, online, some }) {
    Object.assign(this, { count: members, online, summarised: true, next: undefined });
    this.members = new Map(some.map((user) => [user.id, { devices: 1, ...user, role: this.members.get(user.id)?.role ?? 'member', state: 'online', guessed: true }]));
    this.names.learn(some);
    this.#changed();
  }

  typingEvent({ user, on }) {
    this.#stopTyping(user.id);
    if (on) this.#typing.set(user.id, { user, timer: setTimeout(() => this.wrote(user.id), TYPING_LASTS) });
    this.#changed();
  }

  /** This user's message has come, or should have: no longer typing. */
  wrote(id) {
    if (this.#stopTyping(id)) this.#changed();
  }

  /** Nobody is known to be typing any more. */
  quiet() {
    for (const id of [...this.#typing.keys()]) this.#stopTyping(id);
    this.#changed();
  }

  #stopTyping(id) {
    clearTimeout(this.#typing.get(id)?.timer);
    return this.#typing.delete(id);
  }
}
