// The one way in which the page's parts tell each other that something happened: named events with one value. It owns
// the list of listeners and nothing else; who listens and what the value means is up to the parts.

export class Emitter {
  #listeners = new Map();

  /** Calls `listener` whenever `name` is emitted. Returns a function that ends this. */
  on(name, listener) {
    if (!this.#listeners.has(name)) this.#listeners.set(name, new Set());
    this.#listeners.get(name).add(listener);
    return () => this.#listeners.get(name).delete(listener);
  }

  emit(name, value) {
    for (const listener of [...(this.#listeners.get(name) ?? [])]) listener(value);
  }
}
