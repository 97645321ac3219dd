// What this tab remembers over a reload: who you are, the rooms you are in, and messages that nobody has acknowledged.
// It is the tab's own (sessionStorage), so two tabs are two people. Where a browser forbids storage, the page works and
// just forgets.

const prefix = 'chat.';

export function recall(name) {
  try {
    return JSON.parse(sessionStorage.getItem(prefix + name));
  } catch {
    return null;
  }
}

/** Keeps `value` under `name`; null forgets it. */
export function remember(name, value) {
  try {
    if (value === null) sessionStorage.removeItem(prefix + name);
    else sessionStorage.setItem(prefix + name, JSON.stringify(value));
  } catch {
    // Full or forbidden: what is on the screen is still right, only a reload will not know it.
  }
}

export function forgetEverything() {
  try {
    for (const name of Object.keys(sessionStorage)) if (name.startsWith(prefix)) sessionStorage.removeItem(name);
  } catch {
    // Nothing could be kept, so there is nothing to forget.
  }
}
