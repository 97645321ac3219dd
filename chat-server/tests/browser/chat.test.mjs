// Two people with real browsers, and more: they meet and chat, see each other come, type and go, and share a crowded room
// and one that disappears. To run all the tests in this folder:
//
//     npm ci && CHAT_SERVER_BIN=../../../target/debug/chat-server node --test
//
// `CHROMIUM` names another browser than /usr/bin/chromium, `CHAT_SHOTS` another folder for the screenshots than `shots`.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Guest } from './guest.mjs';
import { DESK, PHONE } from './person.mjs';
import { CROWD } from './server.mjs';
import { stage } from './stage.mjs';
import { until } from './until.mjs';

test('meet in a room, chat in any script, and see each other there and typing', async () => {
  const alice = await stage.arrive(DESK, 'Alice Park');
  const minji = await stage.arrive(PHONE, '민지');
  const regular = await Guest.arrive(stage.server.address, 'Olu');
  for (const title of ['Book club 📚', '제주도 여행 계획', 'مقهى الحروف']) await regular.open(title);
  const room = await alice.makeRoom('Tea & cake');
  const listed = minji.listed('Tea & cake');
  await listed.getByText('1명 접속 중').waitFor();
  await minji.shot('3-phone-korean-rooms');
  await minji.enter('Tea & cake');
  await alice.listed('Tea & cake').getByText('2 online · 2 members').waitFor();
  await alice.see('notice').filter({ hasText: '민지 joined' }).waitFor();

  await alice.say('Good morning! Shall we bake something for Sunday? 🍰');
  await minji.say('좋아요! 저는 당근 케이크를 만들게요 🥕');
  await alice.reads('좋아요! 저는 당근 케이크를 만들게요 🥕');
  await alice.say('Perfect. I have eggs, flour and too many walnuts.');
  await alice.say('And Samira asked whether she may join:');
  await alice.say('صباح الخير، هل يمكنني الانضمام إليكم؟');
  await minji.reads('صباح الخير، هل يمكنني الانضمام إليكم؟');
  await minji.say('물론이죠 👩🏽‍🍳 일요일 오후 세 시, 우리 집에서 만나요.');
  await minji.say('주소는\n나중에 보낼게요');
  await alice.reads('주소는\n나중에 보낼게요');
  await alice.holds(1, 7);
  await minji.holds(1, 7);
  assert.deepEqual(await alice.messages(), await minji.messages());
  assert.deepEqual((await regular.join(room), await regular.latest(room)).map(({ text }) => text), (await alice.messages()).map(({ text }) => text));

  await minji.see('composer').pressSequentially('그리고');
  await alice.see('typing').filter({ hasText: '민지 is typing' }).waitFor();
  await alice.see('people-online').getByText('민지').waitFor();
  await alice.see('people-online').getByText('you · Owner').waitFor();
  await alice.see('people-offline').getByText('Olu').waitFor();
  await alice.write('I will bring the good teapot');
  await minji.see('typing').filter({ hasText: 'Alice Park 님이 입력하고 있어요' }).waitFor();
  await alice.shot('1-desk-light');
  await minji.shot('4-phone-korean-chat');
  await alice.page.emulateMedia({ colorScheme: 'dark' });
  await alice.shot('2-desk-dark');
  await minji.page.emulateMedia({ colorScheme: 'dark' });
  await minji.shot('5-phone-korean-chat-dark');

  await minji.write('');
  await until('nobody types', async () => (await alice.see('typing').textContent()) === '');
  await minji.see('show-people').tap();
  await minji.see('people-online').getByText('Alice Park').waitFor();
  await minji.shot('6-phone-korean-people');
  await minji.see('close-people').tap();
  await minji.see('people').waitFor({ state: 'hidden' });
  await alice.depart();
  await minji.depart();
});

test('see at once that a tab was closed, and who is away', async () => {
  const alice = await stage.arrive(DESK, 'Alice');
  const bob = await stage.arrive(DESK, 'Bob');
  const room = await alice.makeRoom('Open door');
  await bob.follow(room);
  await bob.inRoom('Open door');
  await alice.see('people-online').getByText('Bob').waitFor();

  // Carol has no page of ours, only a socket, and says that nobody sits there.
  const carol = await Guest.arrive(stage.server.address, 'Carol');
  await carol.join(room);
  await bob.page.evaluate(([token, room]) => {
    const socket = new WebSocket(`ws://${location.host}/ws`, 'chat.v1');
    const commands = [{ do: 'auth', token }, { do: 'join', room }, { do: 'presence', state: 'away' }];
    socket.onopen = socket.onmessage = () => commands.length && socket.send(JSON.stringify({ id: commands.length, ...commands.shift() }));
  }, [carol.token, room]);
  await alice.see('people-away').getByText('Carol').waitFor();
  await alice.see('room-counts').filter({ hasText: '3 online · 3 members' }).waitFor();

  const closedAt = Date.now();
  await bob.page.close();
  await alice.see('people-offline').getByText('Bob').waitFor();
  await alice.see('room-counts').filter({ hasText: '1 online · 3 members' }).waitFor();
  // Far below the 25 + 10 seconds after which a silent connection would have been noticed.
  assert.ok(Date.now() - closedAt < 10_000, 'a closed tab is seen at once');
  await alice.listed('Open door').getByText('1 online · 3 members').waitFor();
  await bob.depart();
  await alice.depart();
});

test('share a room with a crowd, of which only counts and some names are announced', async () => {
  const alice = await stage.arrive(DESK, 'Alice');
  const room = await alice.makeRoom('Stadium');
  const others = await Promise.all(Array.from({ length: CROWD + 9 }, (_, at) => Guest.arrive(stage.server.address, `Fan ${at + 1}`)));
  const all = others.length + 1;
  const crowd = await stage.arrive(DESK);
  await crowd.page.evaluate(([tokens, room]) => {
    for (const token of tokens) {
      const socket = new WebSocket(`ws://${location.host}/ws`, 'chat.v1');
      const commands = [{ do: 'auth', token }, { do: 'join', room }];
      socket.onopen = socket.onmessage = () => commands.length && socket.send(JSON.stringify({ id: commands.length, ...commands.shift() }));
    }
  }, [others.map(({ token }) => token), room]);
  await alice.see('room-counts').filter({ hasText: `${all} online · ${all} members` }).waitFor();
  await alice.see('crowd').filter({ hasText: 'and 10 others online' }).waitFor();
  await alice.say('What a crowd!');
  await alice.reads('What a crowd!');
  await alice.shot('11-desk-crowd');
  await until('everybody is listed', async () => {
    if (await alice.see('all-people').isVisible()) await alice.see('all-people').click();
    return await alice.see('person').count() === all;
  });
  await crowd.page.close();
  await alice.see('room-counts').filter({ hasText: `1 online · ${all} members` }).waitFor();
  await until('nobody else is shown as present', async () => await alice.see('people-online').getByTestId('person').count() === 1);
  await alice.depart();
  await crowd.depart();
});

test('use a temporary room, which goes with the last of them', async () => {
  const alice = await stage.arrive(DESK, 'Alice');
  const bob = await stage.arrive(DESK, 'Bob');
  const room = await alice.makeRoom('Just for now', { ephemeral: true });
  await bob.listed('Just for now').getByText('Temporary').waitFor();
  await bob.enter('Just for now');
  await bob.say('Nobody will remember this');
  await alice.reads('Nobody will remember this');
  await bob.see('leave').click();
  await alice.see('notice').filter({ hasText: 'Bob left' }).waitFor();
  await bob.see('blank-title').filter({ hasText: 'Pick a room' }).waitFor();
  await bob.listed('Just for now').getByText('1 online · 1 member').waitFor();
  await alice.see('leave').click();
  await until('the room is off both lists', async () => await alice.listed('Just for now').count() + await bob.listed('Just for now').count() === 0);
  await bob.follow(room);
  await bob.see('blank-title').filter({ hasText: 'This room is gone' }).waitFor();
  await bob.depart();
  await alice.depart();
});

test('leave a room of one\'s own, which goes on with another owner', async () => {
  const alice = await stage.arrive(DESK, 'Alice');
  const bob = await stage.arrive(DESK, 'Bob');
  await alice.makeRoom('Handed on');
  await bob.enter('Handed on');
  await alice.see('room-counts').filter({ hasText: '2 online · 2 members' }).waitFor();
  await alice.see('leave').click();
  await bob.see('notice').filter({ hasText: 'Alice left' }).waitFor();
  await bob.see('person').filter({ hasText: 'Bob' }).filter({ hasText: 'Owner' }).waitFor();
  await bob.depart();
  await alice.depart();
});
