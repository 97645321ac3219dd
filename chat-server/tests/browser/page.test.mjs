// One person and the page: scrolling back, coming back, mistakes, the keyboard, Korean, and what is unread.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guest } from './guest.mjs';
import { DESK } from './person.mjs';
import { stage } from './stage.mjs';
import { until } from './until.mjs';

test('scrolls back through history without losing the place, and is told of what comes below', async () => {
  const host = await Guest.arrive(stage.server.address, 'Host');
  const { id: room } = await host.open('Long story');
  for (let line = 1; line <= 180; line += 1) await host.say(room, `Line ${line} of the long story`);
  const alice = await stage.arrive(DESK, 'Alice');
  await alice.follow(room);
  await alice.holds(131, 180);
  const log = alice.see('log');

  await log.hover();
  await until('everything is loaded', async () => {
    await alice.page.mouse.wheel(0, -700);
    return (await alice.messages())[0].seq === 1;
  });
  await alice.holds(1, 180);
  const inSight = () => log.evaluate((element) => {
    const { top } = element.getBoundingClientRect();
    const first = [...element.querySelectorAll('[data-seq]')].find((item) => item.getBoundingClientRect().top >= top);
    return { seq: Number(first.dataset.seq), at: Math.round(first.getBoundingClientRect().top) };
  });
  const before = await inSight();
  await host.say(room, 'And another one');
  await alice.see('newer').filter({ hasText: '1 new message' }).waitFor();
  assert.deepEqual(await inSight(), before, 'nothing moves under the reader’s eyes');
  await alice.shot('8-desk-scrolled-back');
  await alice.see('newer').click();
  await alice.see('newer').waitFor({ state: 'hidden' });
  await alice.see('text').filter({ hasText: 'And another one' }).waitFor();
  await alice.depart();
});

test('stays in place while an older page arrives above', async () => {
  const host = await Guest.arrive(stage.server.address, 'Host');
  const { id: room } = await host.open('Steady');
  for (let line = 1; line <= 120; line += 1) await host.say(room, `Line ${line}\n${'more '.repeat(line % 40)}`);
  const alice = await stage.arrive(DESK, 'Alice');
  await alice.follow(room);
  await alice.holds(71, 120);
  // Scrolls in one step to where the next page is asked for, and looks at one message before and after it came.
  const place = () => alice.page.evaluate(() => document.querySelector('[data-seq="75"]').getBoundingClientRect().top);
  const start = await alice.page.evaluate(() => {
    const log = document.querySelector('[data-testid=log]');
    log.scrollTop = 200;
    return document.querySelector('[data-seq="75"]').getBoundingClientRect().top;
  });
  await alice.holds(21, 120);
  assert.ok(Math.abs(await place() - start) < 2, 'the message stays where it was');
  await alice.depart();
});

test('keeps the place of a reader who scrolls up just as something happens in the room', async () => {
  const host = await Guest.arrive(stage.server.address, 'Host');
  const { id: room } = await host.open('Busy');
  for (let line = 1; line <= 120; line += 1) await host.say(room, `Line ${line}`);
  const alice = await stage.arrive(DESK, 'Alice');
  await alice.page.evaluate(() => {
    const { send } = WebSocket.prototype;
    WebSocket.prototype.send = function (frame) {
      window.socket = this;
      send.call(this, frame);
    };
  });
  await alice.follow(room);
  await alice.holds(71, 120);
  // The event comes before the browser has told the page that it was scrolled, which it does once a frame.
  await alice.page.evaluate(([room, user]) => {
    document.querySelector('[data-testid=log]').scrollTop = 200;
    const data = JSON.stringify({ event: 'typing', room, user: { id: user.id, name: user.name }, on: true });
    window.socket.dispatchEvent(new MessageEvent('message', { data }));
  }, [room, host.user]);
  await alice.see('typing').filter({ hasText: 'Host' }).waitFor();
  await alice.holds(21, 120);
  await alice.see('newer').waitFor();
  await alice.see('newer').click();
  await alice.see('newer').waitFor({ state: 'hidden' });
  await alice.depart();
});

test('comes back to the same name, room and messages after a reload, and to a name when the token has ended', async () => {
  const alice = await stage.arrive(DESK, 'Alice');
  await alice.makeRoom('Sticky');
  await alice.say('still here?');
  await alice.reads('still here?');
  await alice.page.reload();
  await alice.inRoom('Sticky');
  await alice.reads('still here?');
  assert.equal(await alice.see('my-name').textContent(), 'Alice');
  await alice.see('room-counts').filter({ hasText: '1 online · 1 member' }).waitFor();

  await alice.page.evaluate(() => {
    const identity = JSON.parse(sessionStorage.getItem('chat.identity'));
    sessionStorage.setItem('chat.identity', JSON.stringify({ ...identity, token: 'no.longer.good' }));
  });
  await alice.page.reload();
  await alice.page.getByText('Your sign-in has ended').waitFor();
  assert.equal(await alice.see('nickname').inputValue(), 'Alice');
  await alice.see('enter').click();
  await alice.inRoom('Sticky');
  await alice.see('room-counts').filter({ hasText: '1 online · 2 members' }).waitFor();
  await alice.see('sign-out').click();
  await alice.see('nickname').waitFor();
  await alice.depart(/status of 401/);
});

test('is told at the field what is wrong, and is never shown markup as anything but text', async () => {
  const alice = await stage.arrive(DESK);
  await alice.see('enter').click();
  await alice.see('signin-error').filter({ hasText: 'Write something first.' }).waitFor();
  await alice.see('nickname').fill('n'.repeat(33));
  await alice.see('enter').click();
  await alice.see('signin-error').filter({ hasText: 'At most 32 characters; this has 33.' }).waitFor();
  const markup = '<b>Mallory</b>';
  await alice.signIn(markup);

  await alice.see('new-room').click();
  await alice.see('new-title').fill('t'.repeat(101));
  await alice.see('create').click();
  await alice.see('new-title-error').filter({ hasText: 'At most 100 characters; this has 101.' }).waitFor();
  await alice.shot('9-desk-title-too-long');
  await alice.page.keyboard.press('Escape');
  await alice.makeRoom('<i>Title</i>');
  const probe = '<img src=x onerror="document.title=\'hacked\'"><script>document.title="hacked"</script>';
  await alice.say(probe);
  await alice.reads(probe);
  assert.equal(await alice.see('log').locator('img, script, b, i').count(), 0);
  assert.equal(await alice.see('room').locator('h2').first().locator('i').count(), 0);
  assert.doesNotMatch(await alice.page.title(), /hacked/);

  await alice.write('x'.repeat(4_001));
  await alice.see('composer').press('Enter');
  await alice.page.getByText('1 character too many').waitFor();
  await alice.say('x'.repeat(4_000));
  await alice.reads('x'.repeat(4_000));
  await alice.write(' \n ');
  await alice.see('composer').press('Enter');
  await alice.holds(1, 2);
  await alice.depart(/status of 422/);
});

test('does everything with the keyboard alone', async () => {
  const alice = await stage.arrive(DESK);
  const { keyboard } = alice.page;
  const tabTo = (what) => until(`Tab reaches ${what}`, async () => {
    const reached = await alice.page.evaluate((what) => document.activeElement?.matches(what), what);
    if (!reached) await keyboard.press('Tab');
    return reached;
  });
  await keyboard.type('Keys');
  await keyboard.press('Enter');
  await alice.connected();
  await tabTo('[data-testid=new-room]');
  await keyboard.press('Enter');
  await keyboard.type('By hand');
  await keyboard.press('Enter');
  await alice.inRoom('By hand');
  const room = await alice.roomShown();
  // The box to write in has the focus; Shift and Enter begin a line.
  await until('the composer has the focus', () => alice.see('composer').evaluate((box) => box === document.activeElement));
  await keyboard.type('one');
  await keyboard.press('Shift+Enter');
  await keyboard.type('two');
  await keyboard.press('Enter');
  await alice.reads('one\ntwo');
  await tabTo('[data-testid=leave]');
  await keyboard.press('Enter');
  await alice.see('blank-title').filter({ hasText: 'Pick a room' }).waitFor();
  await tabTo(`[data-room="${room}"] a`);
  await keyboard.press('Enter');
  await alice.inRoom('By hand');
  await alice.reads('one\ntwo');
  await alice.depart();
});

test('composes Korean without sending half a word', async () => {
  const alice = await stage.arrive({ ...DESK, locale: 'ko-KR' }, '하늘');
  await alice.makeRoom('한글');
  const ime = await alice.context.newCDPSession(alice.page);
  await alice.see('composer').focus();
  await ime.send('Input.imeSetComposition', { text: '안녀', selectionStart: 2, selectionEnd: 2 });
  // The Enter that ends a composition is not the Enter that sends.
  await alice.see('composer').evaluate((box) => box.dispatchEvent(
    new KeyboardEvent('keydown', { key: 'Enter', isComposing: true, keyCode: 229, bubbles: true, cancelable: true })));
  await ime.send('Input.insertText', { text: '안녕' });
  assert.equal(await alice.see('composer').inputValue(), '안녕');
  assert.deepEqual(await alice.messages(), []);
  await alice.see('composer').press('Enter');
  await alice.reads('안녕');
  await alice.holds(1, 1);
  await alice.depart();
});

test('sees the unread count in the title and at the room', async () => {
  const host = await Guest.arrive(stage.server.address, 'Host');
  const { id: room } = await host.open('Busy room');
  const alice = await stage.arrive(DESK, 'Alice');
  await alice.follow(room);
  await alice.inRoom('Busy room');
  await alice.makeRoom('Elsewhere');
  await host.say(room, 'ping');
  await host.say(room, 'ping again');
  await until('the title counts them', async () => (await alice.page.title()) === '(2) Elsewhere · Chat');
  await alice.listed('Busy room').getByLabel('2 unread messages').waitFor();
  await alice.enter('Busy room');
  await until('they are read', async () => (await alice.page.title()) === 'Busy room · Chat');
  await alice.depart();
});
