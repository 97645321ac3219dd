// Who is in one room: its counts, the members known by name with their state, and who is typing. In a crowded room the
// server sends summaries instead of each coming and going; then only the counts and some names are known. Who of them is
// muted is `mutes.js`'s. It owns no connection: the room hands it events and a way to ask, and it calls `changed`.

import { Mutes } from './mutes.js';

const TYPING_LASTS = 7_000; // The server ends it after 6 seconds; this is for the case that nobody says so.

/** The changes with which a membership ends. */
export const GONE = ['left', 'kicked', 'banned'];

export class People {
  count = 0;
  online = 0;
  members = new Map();
  /** True once only a summary is known, until the members are listed anew. */
  summarised = false;
  /** Where to go on listing members: undefined before the first page, null after the last. */
  next = undefined;
  /** Grows with every change, so that nothing is drawn twice. */
  revision = 0;
  #typing = new Map();
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

  /** Names of those writing now, without `exceptId`. */
  typing(exceptId) {
    return [...this.#typing.values()].map(({ user }) => user).filter(({ id }) => id !== exceptId);
  }

  /** What `join` says of the members: counts and the first of those present. */
  replace({ count, online, first }) {
    Object.assign(this, { count, online, summarised: false, next: undefined });
    this.members = new Map(first.map((member) => [member.id, member]));
    this.quiet();
  }

  /** Lists the next page of members, present or not. */
  async loadMore() {
    const page = await this.#ask('members', { limit: 200, ...(this.next && { after: this.next }) });
    this.next = page.next ?? null;
    this.#merge(page);
  }

  /** Lists those present anew, because they are not known, or their roles are not. */
  async relist() {
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
    for (const member of members) this.members.set(member.id, member);
    this.#changed();
  }

  /** A member came, went, has another role, or is muted or no longer. */
  member({ change, user, role, by, until, members, online }) {
    this.mutes.hear({ change, user, until });
    if (members !== undefined) Object.assign(this, { count: members, online });
    if (GONE.includes(change)) {
      this.members.delete(user.id);
      this.#stopTyping(user.id);
    } else if (change === 'joined' && !this.members.has(user.id)) {
      this.members.set(user.id, { ...user, role, state: 'offline', devices: 0 });
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

  /** Says whether anything was known of this member before; its role is guessed if not. */
  presence({ user, state, devices, online }) {
    this.online = online;
    const known = this.members.get(user.id);
    this.members.set(user.id, { role: 'member', ...known, ...user, state, devices });
    if (state === 'offline') this.#stopTyping(user.id);
    this.#changed();
    return known !== undefined;
  }

  summary({ members, online, some }) {
    Object.assign(this, { count: members, online, summarised: true, next: undefined });
    this.members = new Map(some.map((user) => [user.id, { devices: 1, ...user, role: this.members.get(user.id)?.role ?? 'member', state: 'online' }]));
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
