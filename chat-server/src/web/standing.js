// Where we stand in one room: our role, the room's settings, and what the two allow: whom we may act upon, and whether we
// may write now. It repeats the rules of the protocol's “Keeping order”, so that nobody is shown a control that would be
// refused; the server decides all the same, and what it refuses is learnt here.

const RANK = { member: 0, moderator: 1, owner: 2 };

const moderating = (role) => RANK[role] > RANK.member;

export class Standing {
  me = null;
  settings = { invite: 'members', slow_s: 0, read_only: false };
  #kind;
  #mutes;
  #now;
  /** When we last wrote, in milliseconds; slow mode counts from there. */
  #wroteAt = -Infinity;

  /** `now()` is the server's time. */
  constructor(now, mutes) {
    this.#now = now;
    this.#mutes = mutes;
  }

  get owns() {
    return this.#kind !== 'direct' && this.me?.role === 'owner';
  }

  get moderates() {
    return this.#kind !== 'direct' && moderating(this.me?.role);
  }

  /** What the answer to `join` or `resume` says. */
  take({ room, me, settings, messages }) {
    Object.assign(this, { me, settings });
    this.#mutes.take([me]);
    this.#kind = room.kind;
    messages.forEach((message) => this.wrote(message));
  }

  /** Takes what an event or a missed change says. */
  hear({ event, change, user, role, by, settings }) {
    if (event === 'settings') this.settings = settings;
    if (!this.me || (change !== 'role' && change !== 'transferred')) return;
    if (user.id === this.me.id) this.me = { ...this.me, role };
    else if (change === 'transferred' && by?.id === this.me.id) this.me = { ...this.me, role: 'moderator' };
  }

  wrote({ from, at }) {
    if (from.id === this.me?.id) this.#wroteAt = Math.max(this.#wroteAt, Date.parse(at));
  }

  /** The server has refused something of ours, and said why. */
  refused({ code, until, actual }) {
    if (code === 'muted') this.#mutes.set(this.me.id, true, until);
    if (code === 'slow_mode') this.#wroteAt = Math.max(this.#wroteAt, this.#now() - actual * 1_000);
  }

  /** The time so many seconds from now, as the server counts it. */
  timeIn(seconds) {
    return new Date(this.#now() + seconds * 1_000).toISOString();
  }

  /** What we may do to a member: some of `promote`, `demote`, `mute`, `unmute`, `kick`, `ban`, `transfer`. */
  acts({ id, role }) {
    if (!this.moderates || id === this.me.id || RANK[this.me.role] <= RANK[role]) return [];
    return [
      this.owns && (role === 'moderator' ? 'demote' : 'promote'),
      this.#mutes.of(id) ? 'unmute' : 'mute',
      'kick',
      'ban',
      this.owns && 'transfer',
    ].filter(Boolean);
  }

  /**
   * What keeps us from writing: null, or `{why}` with `muted` (`until`), `readOnly`, or `slow` (`every` so many seconds,
   * of which so many milliseconds are `left`).
   */
  get hold() {
    const { me, settings } = this;
    const mute = me && me.role !== 'owner' && this.#mutes.of(me.id);
    if (mute) return { why: 'muted', until: mute.until };
    if (!me || moderating(me.role)) return null;
    if (settings.read_only) return { why: 'readOnly' };
    if (!settings.slow_s) return null;
    return { why: 'slow', every: settings.slow_s, left: Math.max(0, this.#wroteAt + settings.slow_s * 1_000 - this.#now()) };
  }
}
