// What happened in one room besides messages: who came and went, what its owner and moderators did, and what became of
// its settings. It turns events and missed changes into notices, each once; how they are worded is the views'.

const MOST = 200;
const TOLD = ['joined', 'left', 'kicked', 'banned', 'unbanned', 'muted', 'unmuted', 'role', 'transferred', 'invited', 'erased'];

export class Notices {
  /** Each: `key`, `change`, `at`, `by`, and `user`, `role`, `until`; or for a setting `name`, `value`. Oldest first. */
  all = [];

  clear() {
    this.all = [];
  }

  /** Takes an event or a missed change; `settings` are the room's before it. */
  add({ event, change, user, role, by, until, at, settings: after }, settings) {
    if (event === 'settings') {
      const changed = Object.keys(after).filter((name) => after[name] !== settings[name]);
      for (const name of changed) this.#add(name, { change: 'settings', name, value: after[name], by, at });
    } else if (TOLD.includes(change)) {
      this.#add(user.id, { change, user, role, by, until, at });
    }
  }

  #add(about, notice) {
    const key = `${notice.change}.${about}.${notice.at}`;
    if (!this.all.some((known) => known.key === key)) this.all = [...this.all, { key, ...notice }].slice(-MOST);
  }
}
