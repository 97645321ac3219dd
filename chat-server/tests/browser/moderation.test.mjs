// Keeping order on the page: what the owner and moderators do and who sees what of it, and how somebody who is muted,
// slowed down, kicked or banned is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guest } from './guest.mjs';
import { DESK, PHONE } from './person.mjs';
import { stage } from './stage.mjs';
import { until } from './until.mjs';

const listed = (person, name) => person.see('person').filter({ hasText: name });
const managed = (person, name) => listed(person, name).getByTestId('manage');
const told = (person, text) => person.see('notice').filter({ hasText: text }).waitFor();
const held = (person, text) => person.see('hold').filter({ hasText: text }).waitFor();
/** The server says nothing of guests, which a browser reports when their dialog asks. */
const NO_PROFILE = /status of 404/;
const blank = (person, title) => person.see('blank-title').filter({ hasText: title }).waitFor();
const isOpen = (person) => until('the composer is open', async () => await person.see('composer').isEditable() && await person.see('send').isEnabled());
const isClosed = (person) => until('the composer is closed', async () => !await person.see('composer').isEditable() && await person.see('send').isDisabled());

/** Opens somebody's dialog and does this there; `choice` is of the step in between. */
async function manage(person, name, act, choice) {
  await managed(person, name).click();
  await person.see(`act-${act}`).click();
  if (choice) await person.see(choice).click();
  await person.see('person-dialog').waitFor({ state: 'hidden' });
}

/** The test ids of what somebody is offered in an open dialog. */
const offered = (person) => person.see('person-dialog').locator('.act').evaluateAll((acts) => acts.map(({ dataset }) => dataset.testid));

/** Changes the room's settings by `change`, which fills the dialog in. */
async function configure(person, change) {
  await person.see('settings').click();
  await change();
  await person.see('save-settings').click();
  await person.see('settings-dialog').waitFor({ state: 'hidden' });
}

/** An owner, and others who have come in. */
async function together(title, ...others) {
  const owner = await stage.arrive(DESK, 'Olga');
  const room = await owner.makeRoom(title);
  for (const other of others) {
    await other.follow(room);
    await other.inRoom(title);
  }
  return { owner, room };
}

/** This person without the page, to act for a shorter time than it offers. */
const asOwner = async (person) => {
  const { token } = await person.identity();
  return Object.assign(new Guest(), { address: stage.server.address, token });
};
const myId = async (person) => (await person.identity()).user.id;
const soon = (seconds) => new Date(Date.now() + seconds * 1_000).toISOString();

test('a member is promoted, moderates, and loses the controls at once when it is demoted', async () => {
  const max = await stage.arrive(DESK, 'Max');
  const tom = await stage.arrive(DESK, 'Tom');
  const { owner } = await together('Garden', max, tom);
  await managed(owner, 'Tom').waitFor();
  assert.equal(await managed(owner, 'Olga').count(), 0, 'nobody acts upon herself');
  assert.equal(await max.see('manage').count() + await tom.see('manage').count(), 0, 'members act upon nobody');
  assert.equal(await max.see('settings').isVisible() || await max.see('bans').isVisible(), false);

  await managed(owner, 'Max').click();
  assert.deepEqual(await offered(owner), ['act-promote', 'act-mute', 'act-kick', 'act-ban', 'act-transfer']);
  await owner.shot('30-desk-manage');
  await owner.see('act-promote').click();
  await told(tom, 'Olga made Max a moderator');
  await listed(tom, 'Max').filter({ hasText: 'Moderator' }).waitFor();
  await managed(max, 'Tom').click();
  assert.deepEqual(await offered(max), ['act-mute', 'act-kick', 'act-ban']);
  assert.equal(await managed(max, 'Olga').count(), 0);
  assert.equal(await max.see('settings').isVisible(), false, 'settings are the owner’s');

  // Max is about to act while the owner changes her mind.
  await max.see('act-ban').click();
  await manage(owner, 'Max', 'demote');
  await max.see('person-dialog').waitFor({ state: 'hidden' });
  await told(max, 'Olga made Max a member again');
  await until('nothing is offered any more', async () => await max.see('manage').count() === 0 && !await max.see('bans').isVisible());

  await manage(owner, 'Max', 'transfer', 'confirm');
  await told(tom, 'Olga made Max the owner');
  await max.see('settings').waitFor();
  await owner.see('settings').waitFor({ state: 'hidden' });
  await managed(max, 'Olga').waitFor();
  await until('of the owner she is not above', async () => await managed(owner, 'Max').count() === 0);
  for (const person of [owner, max, tom]) await person.depart(NO_PROFILE);
});

test('somebody is kicked, sees by whom, and comes back', async () => {
  const tom = await stage.arrive(DESK, 'Tom');
  const { owner } = await together('Revolving door', tom);
  await manage(owner, 'Tom', 'kick');
  await told(owner, 'Olga kicked Tom');
  await blank(tom, 'Olga kicked you from this room');
  await tom.shot('31-desk-kicked');
  await tom.see('rejoin').click();
  await tom.inRoom('Revolving door');
  await managed(owner, 'Tom').waitFor();
  await owner.depart(NO_PROFILE);
  await tom.depart();
});

test('a ban keeps somebody out until it is lifted, or ends', async () => {
  const minji = await stage.arrive(PHONE, '민지');
  const { owner, room } = await together('Locked gate', minji);
  await managed(owner, '민지').click();
  await owner.see('act-ban').click();
  assert.deepEqual(await offered(owner), ['for-3600', 'for-86400', 'for-604800', 'for-ever']);
  await owner.shot('32-desk-ban-for');
  await owner.see('act-back').click();
  await owner.see('act-ban').click();
  await owner.see('for-604800').click();
  await told(owner, 'Olga banned 민지 until');
  await blank(minji, 'Olga 님이 나를 이 방에서 차단했어요');
  assert.equal(await minji.see('rejoin').isVisible(), false, 'it would be refused');
  await minji.shot('33-phone-korean-banned');
  await minji.page.reload();
  await blank(minji, '들어갈 수 없는 채팅방이에요');
  await minji.page.getByText('까지 이 방에서 차단되었어요').waitFor();

  await owner.see('bans').click();
  const ban = owner.see('ban').filter({ hasText: '민지' });
  await ban.filter({ hasText: 'until' }).waitFor();
  await owner.shot('34-desk-bans');
  await ban.getByTestId('lift').click();
  await owner.see('no-bans').waitFor();
  await owner.see('close-bans').click();
  await told(owner, 'Olga lifted the ban on 민지');
  await minji.page.reload();
  await minji.inRoom('Locked gate');

  // A short one, which ends before the eyes of whoever is banned.
  const api = await asOwner(owner);
  await api.call('PUT', `/rooms/${room}/bans/${await myId(minji)}`, { until: soon(15) });
  await blank(minji, 'Olga 님이 나를 이 방에서 차단했어요');
  await minji.see('rejoin').tap();
  await minji.inRoom('Locked gate');
  await owner.depart(NO_PROFILE);
  await minji.depart();
});

test('somebody who is muted cannot write, knows until when, and can again when it is over', async () => {
  const tom = await stage.arrive(DESK, 'Tom');
  const minji = await stage.arrive(PHONE, '민지');
  const { owner, room } = await together('Quiet corner', tom, minji);
  await tom.say('One, two');
  await tom.write('And three');
  await manage(owner, 'Tom', 'mute', 'for-3600');
  await told(owner, 'Olga muted Tom until');
  await listed(owner, 'Tom').filter({ hasText: 'muted until' }).waitFor();
  await told(minji, 'Olga 님이 Tom 님의 채팅을');
  await held(tom, 'You are muted in this room until');
  await isClosed(tom);
  await tom.see('composer').press('Enter');
  assert.equal(await tom.see('composer').inputValue(), 'And three', 'what was begun is kept');
  await tom.shot('35-desk-muted');
  await managed(owner, 'Tom').click();
  await owner.shot('36-desk-manage-muted');
  await owner.see('act-unmute').click();
  await told(tom, 'Olga unmuted Tom');
  await isOpen(tom);
  await tom.see('composer').press('Enter');
  await minji.reads('And three');
  await managed(owner, 'Tom').click();
  assert.equal((await offered(owner)).includes('act-unmute'), false, 'nobody is unmuted who is not muted');
  await owner.page.keyboard.press('Escape');

  // A moderator does it on a phone, without an end.
  await manage(owner, '민지', 'promote');
  await minji.see('show-people').tap();
  await managed(minji, 'Tom').tap();
  await minji.shot('42-phone-korean-manage');
  await minji.see('act-mute').tap();
  await minji.see('for-ever').tap();
  await held(tom, 'You are muted in this room.');
  await minji.shot('43-phone-korean-people');
  await manage(minji, 'Tom', 'unmute');
  await minji.see('close-people').tap();
  await isOpen(tom);

  // A short one ends by itself; one from before somebody came is known at once, to whoever lifts it too.
  const api = await asOwner(owner);
  const mute = (id, until) => api.call('PATCH', `/rooms/${room}/members/${id}`, { muted: true, ...(until && { muted_until: until }) });
  await mute(await myId(minji), soon(15));
  await held(minji, '까지 이 방에서 채팅이 금지되었어요');
  await minji.shot('37-phone-korean-muted');
  await isOpen(minji);
  await minji.say('다시 쓸 수 있어요');
  await tom.reads('다시 쓸 수 있어요');
  await mute(await myId(tom), soon(3_600));
  await isClosed(tom);
  for (const person of [tom, owner]) {
    await person.page.reload();
    await person.inRoom('Quiet corner');
  }
  await held(tom, 'You are muted in this room until');
  await isClosed(tom);
  await listed(owner, 'Tom').filter({ hasText: 'muted until' }).waitFor();
  await managed(owner, 'Tom').click();
  assert.deepEqual(await offered(owner), ['act-promote', 'act-unmute', 'act-kick', 'act-ban', 'act-transfer']);
  await owner.see('act-unmute').click();
  await isOpen(tom);

  // Somebody leaves muted, and comes back to a moderator who has seen nothing of it.
  await mute(await myId(tom));
  await held(tom, 'You are muted in this room.');
  await tom.see('leave').click();
  await blank(tom, 'Pick a room');
  await until('he is gone', async () => await listed(owner, 'Tom').count() === 0);
  await owner.page.reload();
  await owner.inRoom('Quiet corner');
  await tom.follow(room);
  await held(tom, 'You are muted in this room.');
  await listed(owner, 'Tom').filter({ hasText: 'muted' }).waitFor();
  await mute(await myId(tom), soon(5));
  await isOpen(tom);
  assert.equal(await tom.see('hold').textContent().then((text) => text.trim()), '');
  for (const person of [owner, tom, minji]) await person.depart(NO_PROFILE);
});

test('the owner changes the settings, and members see why they cannot write, or how slowly', async () => {
  const tom = await stage.arrive(DESK, 'Tom');
  const { owner } = await together('Announcements', tom);
  await owner.see('settings').click();
  await owner.see('slow-s').fill('21601');
  await owner.see('save-settings').click();
  await owner.see('settings-error').filter({ hasText: 'A whole number from 0 to 21,600, which are 6 hours.' }).waitFor();
  await owner.see('slow-s').fill('60');
  await owner.see('read-only').check();
  await owner.see('invite-moderators').check();
  await owner.shot('38-desk-settings');
  await owner.see('save-settings').click();
  for (const text of ['lets only the owner and moderators invite', 'made the room read-only', 'turned on slow mode: at least 1 minute between two messages']) {
    await told(tom, `Olga ${text}`);
  }
  await held(tom, 'This room is read-only');
  await isClosed(tom);
  await tom.shot('39-desk-read-only');
  assert.equal((await owner.see('hold').textContent()).trim(), '', 'it is not for the owner');
  await owner.say('Doors open at eight');
  await owner.say('Bring a coat');
  await tom.reads('Bring a coat');

  await configure(owner, () => owner.see('read-only').uncheck());
  await told(tom, 'Olga lets everyone write again');
  await held(tom, 'Slow mode: at least 1 minute between two messages');
  await isOpen(tom);
  await tom.say('Which door?');
  await tom.write('The red one?');
  await until('a message must wait', () => tom.see('send').isDisabled());
  await tom.see('hold').filter({ hasText: /0:[0-5]\d|1:00/ }).waitFor();
  await tom.shot('40-desk-slow-mode');
  await tom.see('composer').press('Enter');
  assert.equal(await tom.see('composer').inputValue(), 'The red one?');
  await configure(owner, () => owner.see('slow-s').fill('5'));
  await held(tom, 'Slow mode: at least 5 seconds between two messages');
  await isOpen(tom);
  await tom.see('composer').press('Enter');
  await owner.reads('The red one?');
  // It ends by itself, too.
  await isOpen(tom);
  await tom.say('Or the blue one?');
  await owner.reads('Or the blue one?');
  await configure(owner, () => owner.see('slow-s').fill('0'));
  await told(tom, 'Olga turned off slow mode');
  await isOpen(tom);
  await tom.depart();
  await owner.depart(NO_PROFILE);
});

test('what the server refuses is said in words', async () => {
  const tom = await stage.arrive(DESK, 'Tom');
  const { owner } = await together('Too late', tom);
  await managed(owner, 'Tom').click();
  // As if Tom had left in that very moment: the page cannot know, and the server says so.
  await owner.page.evaluate(() => {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (frame) {
      send.call(this, frame.replace(/("do":"kick".*"user":")[^"]*/, '$100000000-0000-7000-8000-000000000000'));
    };
  });
  await owner.see('act-kick').click();
  await owner.see('person-error').filter({ hasText: 'This person is no longer in the room.' }).waitFor();
  await owner.shot('41-desk-refused');
  await owner.page.keyboard.press('Escape');
  await owner.depart(NO_PROFILE);
  await tom.depart();
});

test('is done with the keyboard alone, which keeps its place', async () => {
  const tom = await stage.arrive(DESK, 'Tom');
  const { owner, room } = await together('By hand', tom);
  const { keyboard } = owner.page;
  const tabTo = (what) => until(`Tab reaches ${what}`, async () => {
    const reached = await owner.page.evaluate((what) => document.activeElement?.matches(what), what);
    if (!reached) await keyboard.press('Tab');
    return reached;
  });
  const focused = (what) => until(`${what} has the keyboard`, () => owner.page.evaluate((what) => document.activeElement?.matches(what), what));
  await tabTo('[data-testid=manage]');
  // Somebody comes in: the list is drawn anew around the place.
  await (await Guest.arrive(stage.server.address, 'Zoe')).join(room);
  await listed(owner, 'Zoe').waitFor();
  await focused('[data-testid=manage]');
  await keyboard.press('Enter');
  await focused('#person-name');
  await tabTo('[data-testid=act-mute]');
  await keyboard.press('Enter');
  await focused('#person-name');
  await tabTo('[data-testid=for-ever]');
  await keyboard.press('Enter');
  await told(tom, 'Olga muted Tom');
  await held(tom, 'You are muted in this room.');
  await focused(`[data-user="${await myId(tom)}"] [data-testid=manage]`);
  await keyboard.press('Enter');
  await focused('#person-name');
  await keyboard.press('Escape');
  await focused('[data-testid=manage]');
  await owner.depart(NO_PROFILE);
  await tom.depart();
});
