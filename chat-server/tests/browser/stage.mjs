// What every test file needs before its people come: the real server, a browser, and an end for both. Each file has its
// own server and browser; each test makes its own people and rooms.

import assert from 'node:assert/strict';
import { after, afterEach, before } from 'node:test';
import { chromium } from 'playwright-core';
import { Person } from './person.mjs';
import { Server } from './server.mjs';
import { Wire } from './wire.mjs';

const QUIET = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync'];

/**
 * Filled in before the first test: `server`, `arrive(screen, nickname, address)`, which gives a signed-in person, and
 * `wire()`, a wire to the server.
 */
export const stage = { server: null, arrive, wire };

let browser;
const present = [];
const wires = [];

before(async () => {
  assert.ok(process.env.CHAT_SERVER_BIN, 'CHAT_SERVER_BIN must name the server to test');
  stage.server = await Server.start(process.env.CHAT_SERVER_BIN);
  browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', headless: true, args: QUIET });
});

after(async () => {
  await browser?.close();
  await stage.server?.dispose();
});

// A test that failed leaves its people and wires behind; the next one begins without them.
afterEach(async () => {
  for (const person of present.splice(0)) await person.context.close();
  for (const wire of wires.splice(0)) await wire.dispose();
});

async function arrive(screen, nickname, address = stage.server.address) {
  const person = await Person.arrive(browser, address, screen);
  present.push(person);
  if (nickname) await person.signIn(nickname);
  return person;
}

async function wire() {
  const wire = await Wire.to(stage.server.port);
  wires.push(wire);
  return wire;
}
