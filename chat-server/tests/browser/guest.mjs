// A person without a browser: a guest's token and the HTTP calls that fill a room before the people with browsers come.

import assert from 'node:assert/strict';

export class Guest {
  static async arrive(address, nickname) {
    const guest = new Guest();
    guest.address = address;
    const { access_token: token, user } = await guest.call('POST', '/tokens/guest', { nickname });
    return Object.assign(guest, { token, user });
  }

  async call(method, path, body) {
    const response = await fetch(`${this.address}/api/v1${path}`, {
      method,
      headers: {
        ...(body && { 'Content-Type': 'application/json' }),
        ...(this.token && { Authorization: `Bearer ${this.token}` }),
      },
      body: body && JSON.stringify(body),
    });
    const text = await response.text();
    assert.ok(response.ok, `${method} ${path}: ${response.status} ${text}`);
    return text && JSON.parse(text);
  }

  open(title, ephemeral = false) {
    return this.call('POST', '/rooms', { title, ephemeral });
  }

  join(room) {
    return this.call('PUT', `/rooms/${room}/members/me`);
  }

  say(room, text) {
    return this.call('POST', `/rooms/${room}/messages`, { text });
  }

  edit(room, seq, text) {
    return this.call('PATCH', `/rooms/${room}/messages/${seq}`, { text });
  }

  delete(room, seq) {
    return this.call('DELETE', `/rooms/${room}/messages/${seq}`);
  }

  async latest(room) {
    return (await this.call('GET', `/rooms/${room}/messages?limit=200`)).messages;
  }
}
