// What people are called now. A message and a notice name somebody as that one was called when they came; the server tells
// a new name once, and uses it wherever it is asked from then on. It owns the newest name of everybody heard of in a room.

export class Names {
  #names = new Map();

  /** Takes users as the server has just named them. */
  learn(users) {
    for (const user of users) if (user) this.#names.set(user.id, user.name);
  }

  /** The same user by the newest name. */
  now(user) {
    const name = this.#names.get(user.id) ?? user.name;
    return name === user.name ? user : { ...user, name };
  }
}
