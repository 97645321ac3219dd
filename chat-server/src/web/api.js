// The HTTP calls that the page makes: tokens, accounts, profiles, and the list of rooms. All else goes over the WebSocket.
// It owns the token for these calls and turns every failure into a `ChatError`.

import { ChatError, connectionLost, strangeAnswer } from './errors.js';

const BASE = '/api/v1';

export class Api {
  token = null;

  /** A token for somebody who gives only a nickname: `{access_token, expires_in, user}`. */
  guest(nickname) {
    return this.#call('POST', '/tokens/guest', { nickname });
  }

  /** Tokens of somebody who has an account: `{access_token, expires_in, refresh_token, user}`. */
  signIn(username, password) {
    return this.#call('POST', '/tokens', { username, password });
  }

  /** A new account, likewise; of whoever is here as a guest, if anybody is. */
  signUp(username, nickname, password) {
    return this.#call('POST', '/users', { username, password, ...(nickname && { nickname }) });
  }

  /** Newer tokens, likewise. */
  refresh(token) {
    return this.#call('POST', '/tokens/refresh', { refresh_token: token });
  }

  /** Ends this login, or all of them. */
  signOut({ everywhere = false } = {}) {
    return this.#call('DELETE', `/tokens?${new URLSearchParams({ everywhere })}`);
  }

  /** What is said of a user: `{id, name, username, status}`. Of guests, nothing is. */
  user(id) {
    return this.#call('GET', `/users/${id}`);
  }

  /** Changes what is said of us, some of `nickname` and `status`; answers all of it. */
  changeProfile(fields) {
    return this.#call('PATCH', '/users/me', fields);
  }

  /** Another password; all other logins end. */
  setPassword(old, wanted) {
    return this.#call('PUT', '/users/me/password', { old, new: wanted });
  }

  /** Ends the account for good, and with `erase` what it has written. */
  deleteAccount(password, erase) {
    return this.#call('DELETE', '/users/me', { password, erase_messages: erase });
  }

  /** A page of open rooms, newest first: `{rooms, next?}`. */
  rooms({ query, limit, after } = {}) {
    const given = Object.entries({ query, limit, after }).filter(([, value]) => value);
    return this.#call('GET', `/rooms?${new URLSearchParams(given)}`);
  }

  async #call(method, path, body) {
    const headers = { Accept: 'application/json' };
    if (body) headers['Content-Type'] = 'application/json';
    if (this.token) headers.Authorization = `Bearer ${this.token}`;
    let response, answer;
    try {
      response = await fetch(BASE + path, { method, headers, body: body && JSON.stringify(body), cache: 'no-store' });
    } catch {
      throw connectionLost();
    }
    if (response.status === 204) return null;
    try {
      answer = await response.json();
    } catch {
      throw strangeAnswer(response.status);
    }
    if (response.ok) return answer;
    throw answer.code ? new ChatError(answer) : strangeAnswer(response.status);
  }
}
