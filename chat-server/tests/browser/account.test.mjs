// Accounts on the page: signing up, in and out, coming back, and a guest who stays for good.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, PHONE } from './person.mjs';
import { stage } from './stage.mjs';

const PASSWORD = 'correct horse';

async function fill(person, fields) {
  for (const [name, value] of Object.entries(fields)) await person.see(name).fill(value);
  await person.see('enter').click();
}

const complains = (person, text) => person.see('signin-error').filter({ hasText: text }).waitFor();
const isHere = async (person, name) => {
  await person.see('my-name').filter({ hasText: name }).waitFor({ state: 'attached' });
  await person.connected();
};

test('signs up, comes back after a reload, signs out and in again', async () => {
  const alice = await stage.arrive(DESK);
  await alice.see('to-new').click();
  await alice.shot('20-desk-sign-up');
  await fill(alice, { username: 'al', password: PASSWORD });
  await complains(alice, 'At least 3 characters; this has 2.');
  await fill(alice, { username: 'alice', password: 'short' });
  await complains(alice, 'At least 8 characters; this has 5.');
  await fill(alice, { nickname: 'Alice L.', password: PASSWORD });
  await isHere(alice, 'Alice L.');
  assert.equal(await alice.see('keep').isHidden(), true, 'she has an account');
  await alice.page.reload();
  await isHere(alice, 'Alice L.');

  await alice.see('sign-out').click();
  await alice.see('to-account').click();
  await fill(alice, { username: 'alice', password: 'wrong horse' });
  await complains(alice, 'The username or the password is wrong.');
  await alice.shot('21-desk-wrong-password');
  await fill(alice, { username: 'ALICE', password: PASSWORD });
  await isHere(alice, 'Alice L.');
  await alice.depart(/status of (401|422)/);
});

test('a guest makes an account and keeps name, room and messages', async () => {
  const gisela = await stage.arrive(DESK, 'Gisela');
  const room = await gisela.makeRoom('Gisela’s tea');
  await gisela.say('As a guest');
  await gisela.reads('As a guest');
  await gisela.see('keep').click();
  await gisela.see('signin-back').click();
  await gisela.reads('As a guest');
  await gisela.see('keep').click();
  await fill(gisela, { username: 'gisela', password: PASSWORD });
  await isHere(gisela, 'Gisela');
  await gisela.inRoom('Gisela’s tea');
  assert.equal(gisela.roomShown(), room);
  await gisela.say('As a user');
  await gisela.holds(1, 2);
  assert.equal(await gisela.see('keep').isHidden(), true);
  await gisela.depart();
});

test('the same on a phone, in Korean', async () => {
  const minji = await stage.arrive(PHONE);
  await minji.see('to-new').click();
  await minji.shot('22-phone-sign-up');
  await fill(minji, { username: '민지민지', nickname: '민지', password: PASSWORD });
  await isHere(minji, '민지');
  await minji.depart();
});
