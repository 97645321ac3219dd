// A person with a browser: one context (its own storage, language and screen), one page, and what they do and see on it.
// It collects every error that the page's console reports, so that a test can say which were to be expected.

import assert from 'node:assert/strict';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { until } from './until.mjs';

const SHOTS = process.env.CHAT_SHOTS ?? new URL('shots/', import.meta.url).pathname;

export const DESK = { viewport: { width: 1280, height: 800 }, locale: 'en-US' };
export const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true, locale: 'ko-KR' };
/** What Chromium logs when a server cannot be reached. */
export const OUTAGE = /net::ERR_(CONNECTION_\w+|EMPTY_RESPONSE|SOCKET_NOT_CONNECTED)|WebSocket connection to .* failed/;

export class Person {
  static async arrive(browser, address, screen) {
    const person = new Person();
    person.context = await browser.newContext({ timezoneId: 'Asia/Seoul', ...screen });
    person.page = await person.context.newPage();
    person.errors = [];
    person.page.on('console', (line) => line.type() === 'error' && person.errors.push(line.text()));
    person.page.on('pageerror', (error) => person.errors.push(String(error)));
    person.address = address;
    await person.page.goto(address);
    return person;
  }

  /** The element with this test id. */
  see(id) {
    return this.page.getByTestId(id);
  }

  /** Comes in as a guest. */
  signIn(nickname) {
    return this.#fill({ nickname }, nickname);
  }

  /** Makes an account. */
  async signUp(username, nickname, password) {
    await this.see('to-new').click();
    await this.#fill({ username, nickname, password }, nickname);
  }

  /** Comes in with an account. */
  async signBackIn(username, nickname, password) {
    await this.see('to-account').click();
    await this.#fill({ username, password }, nickname);
  }

  async #fill(fields, nickname) {
    for (const [name, value] of Object.entries(fields)) await this.see(name).fill(value);
    await this.see('enter').click();
    await this.see('my-name').filter({ hasText: nickname }).waitFor({ state: 'attached' });
    await this.connected();
  }

  /** What this tab remembers of who is here: `{token, user}` and more; null if nobody is. */
  identity() {
    return this.page.evaluate(() => JSON.parse(sessionStorage.getItem('chat.identity')));
  }

  connected() {
    return this.phase('open');
  }

  phase(phase) {
    return this.page.locator(`[data-testid=status][data-phase=${phase}]`).waitFor({ state: 'attached' });
  }

  async makeRoom(title, { ephemeral = false } = {}) {
    await this.see('new-room').click();
    await this.see('new-title').fill(title);
    if (ephemeral) await this.see('new-ephemeral').check();
    await this.see('create').click();
    await this.inRoom(title);
    return this.roomShown();
  }

  roomShown() {
    return new URL(this.page.url()).hash.replace('#room=', '');
  }

  /** Finds a room in the list and goes in. */
  async enter(title) {
    await this.listed(title).getByRole('link').click();
    await this.inRoom(title);
  }

  async follow(room) {
    await this.page.goto(`${this.address}/#room=${room}`);
  }

  inRoom(title) {
    return this.see('room-title').filter({ hasText: title, visible: true }).waitFor();
  }

  listed(title) {
    return this.see('room-item').filter({ hasText: title });
  }

  async write(text) {
    await this.see('composer').fill(text);
  }

  async say(text) {
    await this.write(text);
    await this.see('composer').press('Enter');
  }

  /** Sends all of these in one go, faster than anybody types. */
  sayAll(texts) {
    return this.see('composer').evaluate((box, texts) => {
      for (const text of texts) {
        box.value = text;
        box.dispatchEvent(new Event('input', { bubbles: true }));
        box.form.requestSubmit();
      }
    }, texts);
  }

  /** Waits for a message with exactly this text. */
  async reads(text) {
    return until(`a message “${text.slice(0, 40)}” is there`, async () => (await this.messages()).find((message) => message.text === text));
  }

  /** All messages on the page, top to bottom: `{seq, text}`; of a deleted one, the text is null. */
  messages() {
    return this.page.evaluate(() => [...document.querySelectorAll('[data-testid=message]')].map((item) => ({
      seq: Number(item.dataset.seq),
      text: item.querySelector('[data-testid=text]')?.textContent ?? null,
    })));
  }

  /** Messages on the page that have no number yet. */
  unsent() {
    return this.page.evaluate(() => [...document.querySelectorAll('[data-testid=pending], [data-testid=failed]')]
      .map((item) => item.querySelector('[data-testid=text]').textContent));
  }

  /** Waits until the page shows exactly the numbers `first` to `last`, once each and in order, and nothing unsent. */
  async holds(first, last) {
    const wanted = Array.from({ length: last - first + 1 }, (_, at) => first + at);
    let seqs, unsent;
    try {
      await until('', async () => {
        seqs = (await this.messages()).map(({ seq }) => seq);
        unsent = await this.unsent();
        assert.equal(new Set(seqs).size, seqs.length, `a message is shown twice: ${seqs}`);
        return unsent.length === 0 && seqs.join() === wanted.join();
      });
    } catch {
      assert.deepEqual({ seqs, unsent }, { seqs: wanted, unsent: [] });
    }
  }

  async shot(name) {
    await mkdir(SHOTS, { recursive: true });
    await this.page.screenshot({ path: join(SHOTS, `${name}.png`), animations: 'disabled' });
  }

  /** Leaves the browser, having seen no errors but the expected. */
  async depart(expected = /^$/) {
    await this.context.close();
    assert.deepEqual(this.errors.filter((error) => !expected.test(error)), []);
  }
}
