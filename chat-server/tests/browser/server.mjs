// The real server as a child process with a data folder of its own: started, killed without warning, and started again
// on the same port and data. It owns the process and the folder, and ends both.

import { spawn } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { until } from './until.mjs';

/** So many sessions make a room crowded here; a browser takes its time to open the usual two hundred. */
export const CROWD = 20;

export class Server {
  #binary;
  #data;
  #child = null;
  #said = '';

  static async start(binary) {
    const server = new Server();
    server.#binary = binary;
    server.#data = await mkdtemp(join(tmpdir(), 'chat-browser-'));
    server.port = await freePort();
    await server.start();
    return server;
  }

  get address() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts the process and waits until it can serve. */
  async start() {
    const child = spawn(this.#binary, ['--listen', `127.0.0.1:${this.port}`, '--data', this.#data], {
      env: { ...process.env, CHAT__ROOMS__BIG: String(CROWD) },
    });
    child.stdout.on('data', (text) => (this.#said += text));
    child.stderr.on('data', (text) => (this.#said += text));
    child.on('error', (error) => (this.#said += error));
    this.#child = child;
    await until('the server serves', async () => {
      if (child.exitCode !== null || child.pid === undefined) throw new Error(`the server has ended:\n${this.#said}`);
      return fetch(`${this.address}/healthz`).then(({ ok }) => ok, () => false);
    });
  }

  /** As a power cut would: no goodbye, nothing flushed. */
  async kill(signal = 'SIGKILL') {
    const child = this.#child;
    const ended = new Promise((done) => child.once('exit', done));
    child.kill(signal);
    await ended;
  }

  async dispose() {
    if (this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
    await rm(this.#data, { recursive: true, force: true });
  }

  /** What the process wrote, for when something went wrong. */
  get said() {
    return this.#said;
  }
}

async function freePort() {
  const probe = createServer();
  await new Promise((done) => probe.listen(0, '127.0.0.1', done));
  const { port } = probe.address();
  await new Promise((done) => probe.close(done));
  return port;
}
