// Everything that a signed-in person has: the rooms entered, which hears what, and the way back into all of them after
// the connection was lost. It owns the set of rooms and remembers it over a reload; each room's own state is `room.js`'s,
// the socket is `connection.js`'s.

import { Emitter } from './emitter.js';
import { pauseAfter } from './pause.js';
import { Room } from './room.js';
import { recall, remember } from './storage.js';

const ROOMS_IN_ONE_RESUME = 100;

/**
 * Emits `changed` whenever the set of rooms or anything of a room changed, `renamed` when we are called otherwise, and
 * `profile` when, on whichever device, we have said something else of ourselves.
 */
export class Chat extends Emitter {
  rooms = new Map();
  #state = 'online';

  constructor(connection, user) {
    super();
    this.connection = connection;
    this.user = user;
    connection.on('open', ({ user: { name } }) => {
      this.rename(name);
      this.#comeBack();
    });
    connection.on('lost', () => this.rooms.forEach((room) => room.interrupted()));
    connection.on('event', (event) => (event.room ? this.rooms.get(event.room)?.hear(event) : this.#ofUs(event)));
    for (const id of recall('rooms') ?? []) this.#add(id);
  }

  get unread() {
    return [...this.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
  }

  /** The room with this id, joined now or as soon as there is a connection. */
  enter(id) {
    const known = this.rooms.get(id);
    if (known) return known;
    const room = this.#add(id);
    if (this.connection.isOpen) room.join();
    return room;
  }

  /** Makes a room and enters it. */
  async open(title, ephemeral) {
    const { room } = await this.connection.command('open', { title, ephemeral });
    return this.enter(room.id);
  }

  /**
   * Ends the membership. A room that is gone, or that we are no member of, counts as left. One with others in it that is
   * ours is handed over first.
   */
  async leave(id) {
    const leave = () => this.connection.command('leave', { room: id });
    try {
      await leave().catch(async (error) => {
        if (error.code !== 'forbidden') throw error;
        await this.#handOver(id);
        await leave();
      });
    } catch (error) {
      if (error.code !== 'not_a_member' && error.code !== 'no_such_room') throw error;
    }
    this.forget(id);
  }

  /** Makes another member the owner: a moderator rather than others, somebody who is here rather than somebody who is not. */
  async #handOver(room) {
    const { members } = await this.connection.command('members', { room, limit: 200 });
    const rank = ({ role, state }) => (role === 'moderator' ? 2 : 0) + (state === 'offline' ? 0 : 1);
    const others = members.filter(({ role }) => role !== 'owner').sort((a, b) => rank(b) - rank(a));
    if (others.length) await this.connection.command('transfer', { room, user: others[0].id });
  }

  /** This is how we are called by now. */
  rename(name) {
    if (name === this.user.name) return;
    this.user = { ...this.user, name };
    this.emit('renamed', name);
  }

  /** Takes a room off the list without a word to the server. */
  forget(id) {
    remember(`outbox.${id}`, null);
    this.rooms.delete(id);
    this.#keep();
  }

  /** Whether the person is at the keyboard: `online` or `away`. */
  presence(state) {
    if (this.#state === state) return;
    this.#state = state;
    this.connection.command('presence', { state }).catch(() => {});
  }

  #add(id) {
    const room = new Room(id, this.user, this.connection);
    room.on('changed', () => this.emit('changed'));
    room.on('ended', () => this.#keep());
    room.on('stranded', () => this.#resume([room]));
    this.rooms.set(id, room);
    this.#keep();
    return room;
  }

  /** An event that is about us, wherever we are. */
  #ofUs({ event, user }) {
    if (event === 'renamed') this.rename(user.name);
    else if (event === 'profile') this.emit('profile');
  }

  /** A connection is there: every room that was heard before goes on where it stopped, the others are joined. */
  #comeBack() {
    // A new session begins online.
    if (this.#state === 'away') this.connection.command('presence', { state: 'away' }).catch(() => {});
    const rooms = [...this.rooms.values()];
    this.#resume(rooms.filter((room) => room.cursor));
    for (const room of rooms) if (room.state === 'joining') room.join();
  }

  async #resume(rooms) {
    for (let start = 0; start < rooms.length; start += ROOMS_IN_ONE_RESUME) {
      const some = rooms.slice(start, start + ROOMS_IN_ONE_RESUME);
      try {
        await this.connection.command('resume', { rooms: some.map(({ id, cursor }) => ({ room: id, after: cursor })) });
      } catch (error) {
        const left = rooms.filter((room) => room.cursor);
        if (error.code === 'connection_lost') return;
        // Whatever it is that will never do, the rooms' latest messages can still be had.
        if (!error.retry) return left.forEach((room) => room.join());
        return setTimeout(() => this.connection.isOpen && this.#resume(left), pauseAfter(2));
      }
    }
  }

  #keep() {
    const ids = [...this.rooms.values()].filter(({ state }) => state !== 'gone').map(({ id }) => id);
    remember('rooms', ids.length ? ids : null);
    this.emit('changed');
  }
}
