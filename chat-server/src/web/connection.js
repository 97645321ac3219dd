// The WebSocket to the server, kept up for as long as the page wants it: authentication first, commands as promises, a
// ping when nothing was heard for a while, and a new attempt after growing random pauses when it is lost. It owns the
// socket, the commands under way and how far the server's clock is ahead of ours. What the events mean, and what to ask again after a loss, is `chat.js`'s.

import { Emitter } from './emitter.js';
import { ChatError, connectionLost } from './errors.js';
import { pauseAfter } from './pause.js';

const SILENCE = 25_000; // Nothing heard for this long: ask whether anybody is there.
const ANSWER = 10_000; // Asked, and nothing heard for this long, or no connection within it: it is lost.
const STABLE = 5_000; // A connection that lasted this long starts the pauses from the shortest again.
const UNAUTHORIZED = 4401;
const DELETED = 4403;
const SILENT = 4408;
const NOT_READING = 4500; // Codes from here on invite the client back; below it are those that do not.

/**
 * Emits `status` with `{phase, …}`: `idle`, `connecting`, `open`, `waiting` (with `until`) or `stopped` (with `code`);
 * `open` when commands can be given, `lost` when they no longer can, `event` with each event, `unauthorized`, and
 * `deleted` when the account is gone.
 */
export class Connection extends Emitter {
  status = { phase: 'idle' };
  #socket = null;
  #token = null;
  #commands = new Map();
  #lastId = 0;
  #timer = 0;
  #lastPing = 0;
  #attempt = 0;
  #openedAt = 0;
  #invitedBackIn = null;
  #ahead = 0;

  get isOpen() {
    return this.status.phase === 'open';
  }

  /** The server's time in milliseconds: when a mute ends is the server's to say, whatever this machine's clock shows. */
  get now() {
    return Date.now() + this.#ahead;
  }

  start(token) {
    this.#token = token;
    this.#connect();
  }

  /** Goes on with a newer token, in place. */
  renew(token) {
    this.#token = token;
    if (this.isOpen) this.#say('auth', { token }).catch(() => {});
  }

  stop() {
    this.#hangUp(1000);
    this.#become({ phase: 'idle' });
  }

  /** Gives a command and promises its `ok`; rejects with a `ChatError`. */
  command(verb, fields = {}) {
    return this.isOpen ? this.#say(verb, fields) : Promise.reject(connectionLost());
  }

  /** Something happened that makes a new attempt worth while, or the present connection doubtful. */
  wake() {
    if (this.status.phase === 'waiting' || this.status.phase === 'stopped') this.#connect();
    else if (this.isOpen) this.#probe();
  }

  #connect() {
    this.#hangUp(1000);
    this.#become({ phase: 'connecting' });
    const socket = new WebSocket(`${location.protocol === 'https:' ? 'wss' : 'ws'}://${location.host}/ws`, 'chat.v1');
    this.#socket = socket;
    // A socket that was given up may still speak; only the present one is listened to.
    const ifPresent = (act) => (happening) => socket === this.#socket && act(happening);
    socket.onopen = ifPresent(() => this.#authenticate());
    socket.onmessage = ifPresent(({ data }) => this.#hear(JSON.parse(data)));
    socket.onclose = ifPresent(({ code }) => this.#lose(code));
    this.#giveUpAfter(ANSWER);
  }

  async #authenticate() {
    const socket = this.#socket;
    try {
      const session = await this.#say('auth', { token: this.#token });
      this.#openedAt = Date.now();
      this.#become({ phase: 'open' });
      this.#ping();
      this.emit('open', session);
    } catch (error) {
      if (socket !== this.#socket) return;
      this.#lose(error.code === 'unauthorized' ? UNAUTHORIZED : error.retry ? NOT_READING : 4400);
    }
  }

  #say(verb, fields) {
    const id = ++this.#lastId;
    return new Promise((fulfil, reject) => {
      this.#commands.set(id, { fulfil, reject });
      this.#socket.send(JSON.stringify({ id, do: verb, ...fields }));
    });
  }

  #hear(frame) {
    const command = this.#commands.get(frame.id);
    this.#commands.delete(frame.id);
    this.#listenOn();
    if (frame.event === 'closing') this.#invitedBackIn = frame.retry_after_ms ?? null;
    else if (frame.event) this.emit('event', frame);
    else if (frame.error) (command?.reject ?? console.error)(new ChatError(frame.error));
    else command?.fulfil(frame.ok);
  }

  // What comes while a ping has no answer may have been under way since before the line went dead.
  #listenOn() {
    if (this.#commands.has(this.#lastPing)) return this.#giveUpAfter(ANSWER);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#probe(), SILENCE);
  }

  #probe() {
    this.#ping();
    this.#giveUpAfter(ANSWER);
  }

  #ping() {
    this.command('ping').then(({ at }) => (this.#ahead = Date.parse(at) - Date.now()), () => {});
    this.#lastPing = this.#lastId;
  }

  #giveUpAfter(milliseconds) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lose(SILENT), milliseconds);
  }

  #lose(code) {
    if (this.isOpen && Date.now() - this.#openedAt > STABLE) this.#attempt = 0;
    this.#hangUp(1000);
    if (code >= 4400 && code < NOT_READING && code !== SILENT) {
      this.#become({ phase: 'stopped', code });
      if (code === UNAUTHORIZED) this.emit('unauthorized');
      if (code === DELETED) this.emit('deleted');
      return;
    }
    const pause = this.#invitedBackIn ?? pauseAfter(this.#attempt);
    this.#invitedBackIn = null;
    this.#attempt += 1;
    this.#become({ phase: 'waiting', until: Date.now() + pause });
    this.#timer = setTimeout(() => this.#connect(), pause);
  }

  #hangUp(code) {
    clearTimeout(this.#timer);
    const socket = this.#socket;
    this.#socket = null;
    socket?.close(code);
    const unanswered = [...this.#commands.values()];
    this.#commands.clear();
    for (const command of unanswered) command.reject(connectionLost());
  }

  #become(status) {
    const wasOpen = this.isOpen;
    this.status = status;
    if (wasOpen) this.emit('lost');
    this.emit('status', status);
  }
}
