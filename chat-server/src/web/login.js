// Who is signed in in this tab, and for how long: the tokens, kept over a reload, and exchanged for newer ones before they
// end. It owns the tokens; what is done with them is `api.js`'s and `connection.js`'s.

import { Emitter } from './emitter.js';
import { pauseAfter } from './pause.js';
import { recall, remember } from './storage.js';

const EARLY = 60_000; // Exchanged so long before their end.
// A token that has just been exchanged, and not by us, is tried again: then its login ends, for whoever has copied it too.
const FOR_GOOD = ['bad_refresh_token', 'bad_request'];

/** Emits `renewed` with each newer access token. */
export class Login extends Emitter {
  #api;
  #kept = recall('identity');
  #timer = 0;
  #attempt = 0;

  constructor(api) {
    super();
    this.#api = api;
  }

  /** Who this is, or was last. */
  get user() {
    return this.#kept?.user ?? null;
  }

  get isGuest() {
    return !this.#kept?.refresh;
  }

  /** Takes what the server gave for signing in or refreshing; answers the access token. */
  take({ access_token: token, expires_in: seconds, refresh_token: refresh, user }) {
    this.#kept = { token, refresh, user, until: Date.now() + seconds * 1_000 };
    this.#attempt = 0;
    remember('identity', this.#kept);
    this.#api.token = token;
    this.#plan();
    return token;
  }

  /** Whoever is signed in is called otherwise by now. */
  rename(name) {
    this.#kept = { ...this.#kept, user: { ...this.user, name } };
    remember('identity', this.#kept);
  }

  /** Promises a good access token of whoever was signed in here, or null. */
  async goOn() {
    if (!this.#kept) return null;
    if (this.#kept.until > Date.now()) {
      this.#api.token = this.#kept.token;
      this.#plan();
      return this.#kept.token;
    }
    return this.isGuest ? null : this.refresh();
  }

  /** Promises a newer access token, or null if there is none to be had. */
  async refresh() {
    clearTimeout(this.#timer);
    if (this.isGuest) return null;
    try {
      const token = this.take(await this.#api.refresh(this.#kept.refresh));
      this.emit('renewed', token);
      return token;
    } catch (error) {
      if (!FOR_GOOD.includes(error.code)) this.#timer = setTimeout(() => this.refresh(), pauseAfter(this.#attempt++));
      return null;
    }
  }

  /** The tokens are of no use any more; the name stays, for whoever signs in again. */
  end() {
    clearTimeout(this.#timer);
    this.#api.token = null;
    this.#kept = null;
    remember('identity', null);
  }

  #plan() {
    clearTimeout(this.#timer);
    if (this.isGuest) return;
    this.#timer = setTimeout(() => this.refresh(), Math.max(this.#kept.until - Date.now() - EARLY, 1_000));
  }
}
