// What people with accounts say of themselves, and how they go for good: on their own devices, and as others see it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DESK, OUTAGE, PHONE } from './person.mjs';
import { stage } from './stage.mjs';
import { until } from './until.mjs';

const PASSWORD = 'correct horse';
const REFUSED = /status of (401|404|422)/;

const listed = (person, name) => person.see('person').filter({ hasText: name });
const told = (person, text) => person.see('notice').filter({ hasText: text }).waitFor();
const noted = (person, text) => person.see('signin-note').filter({ hasText: text, visible: true }).waitFor();
const says = (person, part, text) => person.see(part).filter({ hasText: text }).waitFor();
const called = (person, name) => person.see('my-name').filter({ hasText: name }).waitFor({ state: 'attached' });
/** Who wrote the message with this text. */
const writes = (person, name, text) => person.see('message').filter({ hasText: text }).filter({ hasText: name }).first().waitFor();
const deletedAre = (person, count) => until(`${count} messages are shown as deleted`, async () => await person.see('erased').count() === count);

async function signedUp(screen, username, nickname) {
  const person = await stage.arrive(screen);
  await person.signUp(username, nickname, PASSWORD);
  return person;
}

/** The same user on another device. */
async function device(screen, username, nickname) {
  const person = await stage.arrive(screen);
  await person.signBackIn(username, nickname, PASSWORD);
  return person;
}

async function openYou(person) {
  await person.see('you').click();
  await until('the profile is read', () => person.see('to-deletion').isEnabled());
}

const closesYou = (person) => person.see('you-dialog').waitFor({ state: 'hidden' });

async function changeYou(person, fields) {
  await openYou(person);
  for (const [name, value] of Object.entries(fields)) await person.see(`you-${name}`).fill(value);
  await person.see('save-you').click();
  await closesYou(person);
}

async function askDeletion(person, { username, password = PASSWORD, erase = false }) {
  await person.see('confirm-username').fill(username);
  await person.see('delete-password').fill(password);
  await person.see('erase').setChecked(erase);
  await person.see('delete-account').click();
}

/** A room of Tom's with somebody in it; each has said something. */
async function together(title, tom, other) {
  const room = await tom.makeRoom(title);
  await other.follow(room);
  await other.inRoom(title);
  await tom.say('Who is on board?');
  await other.say('I am');
  await tom.reads('I am');
  return room;
}

test('a new name is seen at once by everybody, wherever the old one stood, and after a reload', async () => {
  const wire = await stage.wire();
  const tom = await stage.arrive(DESK, 'Tom');
  const eve = await stage.arrive(DESK, 'Eve', wire.address);
  const dora = await signedUp(DESK, 'dora', 'Dora');
  const room = await together('Boats', tom, dora);
  const phone = await device(PHONE, 'dora', 'Dora');
  await eve.follow(room);
  await eve.reads('I am');
  await told(tom, 'Dora joined');

  await openYou(dora);
  await dora.see('you-nickname').fill('n'.repeat(33));
  await dora.see('save-you').click();
  await says(dora, 'you-nickname-error', 'At most 32 characters; this has 33.');
  await dora.see('you-nickname').fill('Captain Dora');
  await dora.see('you-status').fill('s'.repeat(141));
  await dora.see('save-you').click();
  await says(dora, 'you-status-error', 'At most 140 characters; this has 141.');
  assert.equal(await dora.see('you-nickname-error').textContent(), '', 'what is right is said no longer to be wrong');
  await dora.shot('51-desk-you-status-too-long');
  await dora.see('you-status').fill('on a boat ⛵');
  await dora.shot('50-desk-you');
  await dora.see('save-you').click();
  await closesYou(dora);

  await listed(tom, 'Captain Dora').waitFor();
  await writes(tom, 'Captain Dora', 'I am');
  await told(tom, 'Captain Dora joined');
  await called(dora, 'Captain Dora');
  await called(phone, 'Captain Dora');
  assert.equal((await dora.identity()).user.name, 'Captain Dora', 'the next visit begins with it');
  await listed(tom, 'Captain Dora').getByTestId('manage').click();
  await says(tom, 'person-status', 'on a boat ⛵');
  await tom.shot('52-desk-status-of-another');
  await tom.page.keyboard.press('Escape');

  // Eve does not hear of the next one: she learns it with what she missed.
  wire.cut();
  await eve.phase('waiting');
  await changeYou(phone, { nickname: 'Admiral Dora' });
  await called(dora, 'Admiral Dora');
  await writes(tom, 'Admiral Dora', 'I am');
  wire.mend();
  await eve.connected();
  await writes(eve, 'Admiral Dora', 'I am');
  for (const person of [tom, dora]) {
    await person.page.reload();
    await person.inRoom('Boats');
    await listed(person, 'Admiral Dora').waitFor();
  }
  await writes(tom, 'Admiral Dora', 'I am');
  await called(dora, 'Admiral Dora');
  await openYou(dora);
  assert.equal(await dora.see('you-nickname').inputValue(), 'Admiral Dora');
  assert.equal(await dora.see('you-status').inputValue(), 'on a boat ⛵');
  for (const person of [tom, dora, phone]) await person.depart(REFUSED);
  await eve.depart(OUTAGE);
});

test('what is typed stays when the profile changes on another device', async () => {
  const lea = await signedUp(DESK, 'lea', 'Lea');
  const phone = await device(PHONE, 'lea', 'Lea');
  await openYou(lea);
  await lea.see('you-status').fill('half a thou');
  await changeYou(phone, { nickname: '레아', status: '다른 말' });
  await until('the untouched field follows', async () => await lea.see('you-nickname').inputValue() === '레아');
  assert.equal(await lea.see('you-status').inputValue(), 'half a thou');
  await lea.depart();
  await phone.depart();
});

test('another password signs the other devices out, and signing out everywhere all of them', async () => {
  const paul = await signedUp(DESK, 'paul', 'Paul');
  const phone = await device(PHONE, 'paul', 'Paul');
  await openYou(paul);
  await paul.see('to-password').click();
  await paul.see('old-password').fill('wrong horse');
  await paul.see('new-password').fill('battery staple');
  await paul.see('set-password').click();
  await says(paul, 'old-password-error', 'This is not your password.');
  await paul.shot('53-desk-password');
  await paul.see('old-password').fill(PASSWORD);
  await paul.see('new-password').fill('short');
  await paul.see('set-password').click();
  await says(paul, 'new-password-error', 'At least 8 characters; this has 5.');
  await paul.see('new-password').fill('battery staple');
  await paul.see('set-password').click();
  await says(paul, 'you-said', 'Your password is changed');
  await paul.shot('54-desk-password-changed');
  await noted(phone, '로그인이 끝났어요');
  await phone.see('password').fill('battery staple');
  await phone.see('username').fill('paul');
  await phone.see('enter').tap();
  await called(phone, 'Paul');
  await phone.connected();

  await paul.see('sign-out-everywhere').click();
  await paul.see('nickname').waitFor();
  assert.equal(await paul.see('signin-note').isHidden(), true, 'it is no surprise');
  assert.equal(await paul.identity(), null);
  await noted(phone, '로그인이 끝났어요');
  await paul.depart(REFUSED);
  await phone.depart(REFUSED);
});

test('an account is deleted with its messages: others see it go, and all its pages say so', async () => {
  const wire = await stage.wire();
  const tom = await stage.arrive(DESK, 'Tom');
  const minji = await stage.arrive(PHONE, '민지');
  const eve = await stage.arrive(DESK, 'Eve', wire.address);
  const finn = await signedUp(DESK, 'finn', 'Finn');
  const room = await together('Harbour', tom, finn);
  await finn.say('My address is 1 Quay Street');
  for (const person of [minji, eve]) {
    await person.follow(room);
    await person.reads('My address is 1 Quay Street');
  }
  const phone = await device(PHONE, 'finn', 'Finn');
  await phone.follow(room);
  await phone.reads('My address is 1 Quay Street');

  await openYou(finn);
  await finn.see('to-deletion').click();
  await finn.shot('55-desk-deletion');
  await askDeletion(finn, { username: 'flynn' });
  await says(finn, 'confirm-error', 'This is not your username.');
  await askDeletion(finn, { username: 'Finn', password: 'wrong horse', erase: true });
  await says(finn, 'delete-password-error', 'This is not your password.');
  await finn.shot('56-desk-deletion-wrong-password');
  assert.equal(await tom.see('erased').count(), 0, 'nothing has happened yet');
  wire.cut();
  await eve.phase('waiting');
  await askDeletion(finn, { username: 'Finn', erase: true });

  await noted(finn, 'Your account was deleted.');
  await noted(phone, '계정이 삭제되었어요.');
  await finn.shot('57-desk-deleted');
  await phone.shot('58-phone-deleted');
  for (const person of [finn, phone]) {
    assert.equal(await person.page.evaluate(() => sessionStorage.length), 0, 'nothing of it is left in the tab');
    assert.equal(new URL(person.page.url()).hash, '');
    assert.equal(await person.see('nickname').inputValue(), '');
  }
  await deletedAre(tom, 2);
  await told(tom, 'The messages of deleted user were deleted');
  await told(minji, 'deleted user 님의 메시지가 삭제되었어요');
  await deletedAre(minji, 2);
  await until('he is no longer a member', async () => await listed(tom, 'deleted user').count() + await listed(tom, 'Finn').count() === 0);
  // Eve was away, and learns it with what she missed.
  wire.mend();
  await eve.connected();
  await deletedAre(eve, 2);
  await told(eve, 'The messages of deleted user were deleted');
  await tom.shot('59-desk-erased');
  await minji.shot('60-phone-korean-erased');
  await tom.page.reload();
  await tom.inRoom('Harbour');
  await deletedAre(tom, 2);
  await writes(tom, 'deleted user', 'Message deleted');
  assert.deepEqual((await tom.messages()).map(({ text }) => text), ['Who is on board?', null, null]);

  await finn.see('to-account').click();
  await finn.see('username').fill('finn');
  await finn.see('password').fill(PASSWORD);
  await finn.see('enter').click();
  await says(finn, 'signin-error', 'The username or the password is wrong.');
  for (const person of [tom, minji, finn, phone]) await person.depart(REFUSED);
  await eve.depart(OUTAGE);
});

test('an account is deleted and its messages stay, on a phone, in Korean', async () => {
  const tom = await stage.arrive(DESK, 'Tom');
  const haneul = await signedUp(PHONE, '하늘하늘', '하늘');
  await together('Lighthouse', tom, haneul);
  await haneul.see('back').tap();
  await openYou(haneul);
  await haneul.shot('61-phone-korean-you');
  await haneul.see('to-deletion').tap();
  await haneul.see('confirm-username').fill('하늘하늘');
  await haneul.shot('62-phone-korean-deletion');
  await haneul.page.emulateMedia({ colorScheme: 'dark' });
  await haneul.shot('63-phone-korean-deletion-dark');
  await askDeletion(haneul, { username: '하늘하늘' });
  await noted(haneul, '계정이 삭제되었어요.');
  await told(tom, 'deleted user left');
  await writes(tom, 'deleted user', 'I am');
  assert.equal(await tom.see('erased').count(), 0);
  await tom.depart();
  await haneul.depart();
});

test('is done with the keyboard alone; a guest is offered an account instead', async () => {
  const kim = await stage.arrive(DESK, 'Kim');
  await kim.see('you').click();
  await kim.see('username').fill('kim');
  await kim.see('password').fill(PASSWORD);
  await kim.see('enter').click();
  await kim.see('keep').waitFor({ state: 'hidden' });
  await kim.connected();
  const { keyboard } = kim.page;
  const focused = (what) => until(`${what} has the keyboard`, () => kim.page.evaluate((what) => document.activeElement?.matches(what), what));
  const tabTo = (what) => until(`Tab reaches ${what}`, async () => {
    const reached = await kim.page.evaluate((what) => document.activeElement?.matches(what), what);
    if (!reached) await keyboard.press('Tab');
    return reached;
  });
  await tabTo('[data-testid=you]');
  await keyboard.press('Enter');
  await focused('#you-name');
  await tabTo('[data-testid=to-password]');
  await keyboard.press('Enter');
  await focused('#you-name');
  await tabTo('[data-testid=password-back]');
  await keyboard.press('Enter');
  await tabTo('[data-testid=you-nickname]');
  await keyboard.press('End');
  await keyboard.type(' K.');
  await keyboard.press('Enter');
  await called(kim, 'Kim K.');
  await focused('[data-testid=you]');
  await kim.depart();
});
