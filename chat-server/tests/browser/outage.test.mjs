// What breaks between the page and the server, and that nobody loses a message or sees one twice for it: the server
// killed or stopped, a line cut, gone deaf or dead, a token ended, a membership ended meanwhile.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guest } from './guest.mjs';
import { DESK, OUTAGE, PHONE } from './person.mjs';
import { stage } from './stage.mjs';
import { until } from './until.mjs';

test('the server is killed and started again: both continue with no message lost or doubled', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice Park', wire.address);
  const minji = await stage.arrive(PHONE, '민지');
  const room = await alice.makeRoom('Weather watch');
  await minji.follow(room);
  await minji.inRoom('Weather watch');
  const said = [];
  const both = async (who, text) => {
    said.push(text);
    await who.say(text);
  };
  await both(alice, 'A storm is coming up');
  await minji.reads('A storm is coming up');
  await both(minji, '여긴 아직 조용해요');
  await alice.reads('여긴 아직 조용해요');

  // Killed in the middle of a burst, and while the other is in the middle of a word.
  await minji.write('지금 막 바람이');
  const gusts = Array.from({ length: 60 }, (_, at) => `Gust ${at + 1} of 60`);
  said.push(...gusts);
  let answers = 0;
  const cutShort = wire.deafen((bytes) => bytes.includes('"ok"') && (answers += 1) > 5);
  await alice.sayAll(gusts);
  await cutShort;
  await stage.server.kill();
  wire.mend();
  await alice.phase('waiting');
  assert.ok((await alice.unsent()).length > 0, 'the burst was cut short');
  await minji.phase('waiting');
  await both(alice, 'Can you still read me?');
  await both(alice, 'I keep writing anyway');
  await minji.see('composer').press('End');
  await minji.see('composer').pressSequentially(' 불기 시작했어요');
  said.push('지금 막 바람이 불기 시작했어요');
  await minji.see('composer').press('Enter');
  await until('what was written meanwhile is shown as waiting', async () => (await minji.unsent()).includes('지금 막 바람이 불기 시작했어요'));
  await alice.page.getByText('Goes out when the connection is back').last().waitFor();
  await alice.shot('7-desk-reconnecting');
  await minji.shot('7-phone-reconnecting');

  await stage.server.start();
  await alice.connected();
  await minji.connected();
  await both(minji, '다시 연결됐네요!');
  await alice.reads('다시 연결됐네요!');
  await both(alice, 'So it is.');
  await alice.holds(1, said.length);
  await minji.holds(1, said.length);
  const seen = await alice.messages();
  assert.deepEqual(await minji.messages(), seen);
  assert.deepEqual(seen.map(({ text }) => text).sort(), [...said].sort());
  const mine = (text) => /^[A-Z]/.test(text);
  assert.deepEqual(seen.map(({ text }) => text).filter(mine), said.filter(mine), 'one sender’s messages keep their order');
  await alice.see('people-online').getByText('민지').waitFor();
  await alice.depart(OUTAGE);
  await minji.depart(OUTAGE);
});

test('the server is told to stop and started again: both come back', async () => {
  const alice = await stage.arrive(DESK, 'Alice');
  const room = await alice.makeRoom('Maintenance');
  const bob = await stage.arrive(DESK, 'Bob');
  await bob.follow(room);
  await bob.inRoom('Maintenance');
  await stage.server.kill('SIGTERM');
  await alice.phase('waiting');
  await alice.say('written while it was down');
  await stage.server.start();
  await alice.connected();
  await bob.connected();
  await bob.reads('written while it was down');
  await alice.holds(1, 1);
  await alice.see('people-online').getByText('Bob').waitFor();
  await alice.depart(OUTAGE);
  await bob.depart(OUTAGE);
});

test('an answer is lost on the way: the message is sent again and stays one', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  const room = await alice.makeRoom('Bad line');
  const witness = await Guest.arrive(stage.server.address, 'Witness');
  await witness.join(room);
  await alice.say('before');
  await alice.reads('before');
  wire.deafen();
  await alice.say('did you get this?');
  await until('the server has it', async () => (await witness.latest(room)).length === 2);
  assert.deepEqual(await alice.unsent(), ['did you get this?']);
  wire.cut();
  await alice.phase('waiting');
  wire.mend();
  await alice.connected();
  await alice.holds(1, 2);
  await alice.say('after');
  await alice.holds(1, 3);
  assert.deepEqual((await witness.latest(room)).map(({ text }) => text), ['before', 'did you get this?', 'after']);
  await alice.depart(OUTAGE);
});

test('a line that has gone dead is noticed, and left for a new one', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  await alice.makeRoom('Dead line');
  wire.deafen();
  // What a browser says when it changes networks; without it the page asks after 25 seconds of silence.
  await alice.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await alice.phase('waiting');
  wire.mend();
  await alice.connected();
  await alice.say('here I am');
  await alice.reads('here I am');
  await alice.depart(OUTAGE);
});

test('what was still under way when a line went dead does not hide it', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  const room = await alice.makeRoom('Last words');
  const host = await Guest.arrive(stage.server.address, 'Host');
  await host.join(room);
  const lost = wire.deafen((bytes) => bytes.includes('"at"') && bytes.includes('"ok"'));
  await alice.page.evaluate(() => window.dispatchEvent(new Event('online')));
  await lost;
  wire.mend();
  await host.say(room, 'came after the question');
  await alice.reads('came after the question');
  wire.deafen();
  await alice.phase('waiting');
  wire.mend();
  await alice.connected();
  await alice.depart(OUTAGE);
});

test('somebody was taken out of the room meanwhile: they are told, and may come back with what they wrote', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  const room = await alice.makeRoom('Revolving door');
  const token = await alice.page.evaluate(() => JSON.parse(sessionStorage.getItem('chat.identity')).token);
  wire.cut();
  await alice.phase('waiting');
  await alice.say('am I still in?');
  await Object.assign(new Guest(), { address: stage.server.address, token }).call('DELETE', `/rooms/${room}/members/me`);
  wire.mend();
  await alice.see('blank-title').filter({ hasText: 'You are no longer in this room' }).waitFor();
  await alice.see('rejoin').click();
  await alice.reads('am I still in?');
  await alice.holds(1, 1);
  await alice.depart(OUTAGE);
});

test('the token ended before a message was acknowledged: its writer decides', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  await alice.makeRoom('Deadline');
  wire.cut();
  await alice.phase('waiting');
  await alice.say('first');
  await alice.say('second');
  await alice.page.evaluate(() => {
    const identity = JSON.parse(sessionStorage.getItem('chat.identity'));
    sessionStorage.setItem('chat.identity', JSON.stringify({ ...identity, until: 0 }));
  });
  wire.mend();
  await alice.page.reload();
  await alice.signIn('Alice');
  await alice.inRoom('Deadline');
  assert.deepEqual(await alice.unsent(), ['first', 'second']);
  await alice.shot('10-desk-not-sent');
  await alice.see('failed').first().getByText('Discard').click();
  await alice.see('failed').getByText('Try again').click();
  await alice.reads('second');
  await alice.holds(1, 1);
  await alice.depart(OUTAGE);
});

test('a reload in the middle of an outage keeps what was not acknowledged', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  const room = await alice.makeRoom('Reloaded');
  const witness = await Guest.arrive(stage.server.address, 'Witness');
  await witness.join(room);
  wire.deafen();
  await alice.say('the server has this one');
  await until('the server has it', async () => (await witness.latest(room)).length === 1);
  await alice.say('and not this one');
  wire.cut();
  wire.mend();
  await alice.page.reload();
  await alice.inRoom('Reloaded');
  await alice.holds(1, 2);
  assert.deepEqual((await witness.latest(room)).map(({ text }) => text), ['the server has this one', 'and not this one']);
  await alice.depart(OUTAGE);
});

test('somebody missed more than the server tells at once: the whole gap is filled', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  const room = await alice.makeRoom('Chatterbox');
  const host = await Guest.arrive(stage.server.address, 'Host');
  await host.join(room);
  await host.say(room, 'Message 1');
  await alice.reads('Message 1');
  wire.cut();
  await alice.phase('waiting');
  for (let number = 2; number <= 460; number += 1) await host.say(room, `Message ${number}`);
  wire.mend();
  await alice.see('try-now').click().catch(() => {});
  await alice.holds(1, 460);
  assert.deepEqual((await alice.messages()).map(({ seq, text }) => text === `Message ${seq}`).filter((right) => !right), []);
  await alice.depart(OUTAGE);
});

test('what was edited and deleted is seen so, at once and by whoever was away', async () => {
  const wire = await stage.wire();
  const alice = await stage.arrive(DESK, 'Alice', wire.address);
  const room = await alice.makeRoom('Second thoughts');
  const host = await Guest.arrive(stage.server.address, 'Host');
  await host.join(room);
  for (const text of ['frist', 'second', 'third', 'fourth']) await host.say(room, text);
  await alice.reads('fourth');
  await host.edit(room, 1, 'first');
  await alice.reads('first');
  await host.delete(room, 2);
  await alice.see('erased').waitFor();
  await alice.shot('11-desk-edited');
  wire.cut();
  await alice.phase('waiting');
  await host.edit(room, 3, 'third, edited');
  await host.delete(room, 4);
  await host.say(room, 'fifth');
  await host.edit(room, 5, 'fifth, edited');
  wire.mend();
  await alice.see('try-now').click().catch(() => {});
  await alice.reads('fifth, edited');
  assert.deepEqual((await alice.messages()).map(({ text }) => text), ['first', null, 'third, edited', null, 'fifth, edited']);
  assert.equal(await alice.see('edited').count(), 3);
  await alice.depart(OUTAGE);
});
