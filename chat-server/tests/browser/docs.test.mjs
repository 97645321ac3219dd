// The page of the calls: everything on it is this server's own, and what it says can be tried out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK } from './person.mjs';
import { stage } from './stage.mjs';
import { until } from './until.mjs';

/** Unfolds an operation, makes its call as the document's example has it, and gives the status and the body. */
async function tryOut(page, tag, id) {
  const operation = page.locator(`#operations-${tag}-${id}`);
  await operation.locator('.opblock-summary-control').click();
  await operation.locator('.try-out__btn').click();
  await operation.locator('.execute').click();
  const answer = operation.locator('.live-responses-table .response');
  const status = await answer.locator('.response-col_status').innerText();
  return { status: parseInt(status, 10), body: JSON.parse(await answer.locator('.highlight-code code').first().innerText()), operation };
}

test('shows every call, makes some, and loads nothing from elsewhere', async () => {
  const { address } = stage.server;
  const { paths } = await (await fetch(`${address}/api/openapi.json`)).json();
  const alice = await stage.arrive(DESK);
  const { page } = alice;
  const asked = [];
  page.on('request', (request) => asked.push(request.url()));
  await page.goto(`${address}/api/docs`);

  const calls = Object.values(paths).flatMap(Object.keys);
  await until('every call is on the page', async () => (await page.locator('.opblock').count()) === calls.length);
  await page.locator('.opblock-tag[data-tag=rooms]').waitFor();
  await alice.shot('30-desk-calls');

  const guest = await tryOut(page, 'tokens', 'becomeGuest');
  assert.equal(guest.status, 201);
  assert.equal(guest.body.user.name, 'Carol');
  await guest.operation.locator('.live-responses-table').scrollIntoViewIfNeeded();
  await alice.shot('31-desk-call-made');

  await page.locator('.auth-wrapper .authorize').first().click();
  await page.locator('.modal-ux input').fill(guest.body.access_token);
  await page.locator('.modal-ux .authorize').click();
  await page.locator('.modal-ux .btn-done').click();
  const room = await tryOut(page, 'rooms', 'openRoom');
  assert.equal(room.status, 201);
  assert.equal(room.body.title, 'Tea');

  assert.ok(asked.length > 5, `${asked}`);
  assert.deepEqual(asked.filter((url) => !url.startsWith(`${address}/`) && !url.startsWith('data:')), []);
  // Whatever the page's policy forbids would be in the console.
  await alice.depart();
});
