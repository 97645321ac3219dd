// A wire between a browser and the server that can be cut, and made deaf in one direction: what a person's network does
// to them while the server is well. It owns the connections that go through it.

import { connect, createServer } from 'node:net';

export class Wire {
  #server;
  #pairs = new Set();
  #cut = false;
  #deaf = () => false;

  static async to(port) {
    const wire = new Wire();
    wire.#server = createServer((near) => wire.#carry(near, port));
    await new Promise((done) => wire.#server.listen(0, '127.0.0.1', done));
    wire.address = `http://127.0.0.1:${wire.#server.address().port}`;
    return wire;
  }

  /** Ends every connection, and each new one at once, until `mend`. */
  cut() {
    this.#cut = true;
    for (const pair of this.#pairs) for (const end of pair) end.destroy();
  }

  /**
   * From now on the server hears everything, and nothing that it says arrives; or nothing that `loses` picks out. Promises
   * the first loss. What is lost may take along what comes with it.
   */
  deafen(loses = () => true) {
    return new Promise((lost) => {
      this.#deaf = (bytes) => {
        const deaf = loses(bytes);
        if (deaf) lost();
        return deaf;
      };
    });
  }

  mend() {
    this.#cut = false;
    this.#deaf = () => false;
  }

  async dispose() {
    this.cut();
    await new Promise((done) => this.#server.close(done));
  }

  #carry(near, port) {
    if (this.#cut) return near.destroy();
    const far = connect(port, '127.0.0.1');
    const pair = [near, far];
    this.#pairs.add(pair);
    near.on('data', (bytes) => far.write(bytes));
    far.on('data', (bytes) => this.#deaf(bytes) || near.write(bytes));
    for (const [one, other] of [pair, [far, near]]) {
      one.on('error', () => {});
      one.on('close', () => {
        other.destroy();
        this.#pairs.delete(pair);
      });
    }
  }
}
