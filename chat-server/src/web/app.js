// Where the page is put together: signing in or going on as who this tab was, the address after `#` as the choice of a
// room, the tab's title, and the parts wired to each other. Every rule about rooms and messages is in the parts.

import { Api } from './api.js';
import { Chat } from './chat.js';
import { Connection } from './connection.js';
import { Directory } from './directory.js';
import { errorText, t, translate } from './i18n.js';
import { watchIdleness } from './idle.js';
import { forgetEverything, recall, remember } from './storage.js';
import { tell } from './view/dom.js';
import { NewRoomView } from './view/newroom.js';
import { RoomView } from './view/room.js';
import { RoomsView } from './view/rooms.js';
import { SigninView } from './view/signin.js';
import { StatusView } from './view/status.js';

const page = document.getElementById('chat');
const api = new Api();
/** Of the person signed in: `{connection, chat, directory}`; null on the first screen. */
let here = null;
/** The room being shown, or null. */
let shown = null;

translate(document.body);
const status = new StatusView();
const roomView = new RoomView(leave);
const newRoom = new NewRoomView(async (title, ephemeral) => {
  go(await here.chat.open(title, ephemeral));
  here.directory.refresh();
});
const roomsView = new RoomsView({ onNew: () => newRoom.show(), onSignOut: signOut });
const signin = new SigninView(async (nickname) => {
  const { access_token: token, expires_in: seconds, user } = await api.guest(nickname);
  remember('identity', { token, user, until: Date.now() + seconds * 1_000 });
  enter(token, user);
});

function enter(token, user) {
  api.token = token;
  const connection = new Connection();
  const chat = new Chat(connection, user);
  const directory = new Directory(api, () => connection.isOpen);
  here = { connection, chat, directory };
  chat.on('changed', retitle);
  directory.on('unauthorized', signInAgain);
  connection.on('unauthorized', signInAgain);
  connection.on('open', () => directory.refresh());
  status.watch(connection);
  roomsView.show(chat, directory);
  signin.hide();
  page.hidden = false;
  connection.start(token);
  route();
}

function exit() {
  here.directory.stop();
  here.connection.stop();
  newRoom.close();
  show(null);
  here = null;
  api.token = null;
  page.hidden = true;
  retitle();
}

/** The token is no longer good. The rooms and unsent messages stay for whoever goes on in this tab. */
function signInAgain() {
  const nickname = here.chat.user.name;
  remember('identity', null);
  exit();
  signin.show({ ended: true, nickname });
}

function signOut() {
  exit();
  forgetEverything();
  history.replaceState(null, '', location.pathname);
  signin.show();
}

async function leave(room) {
  try {
    await here.chat.leave(room.id);
    // Replaced, so that going back does not join what was just left.
    history.replaceState(null, '', '#');
    route();
    here.directory.refresh();
  } catch (error) {
    tell(errorText(error));
  }
}

function go(room) {
  location.hash = `room=${room.id}`;
}

/** Shows the room that the address names, or the list. */
function route() {
  if (!here) return;
  const id = new URLSearchParams(location.hash.slice(1)).get('room');
  if (shown && shown.id !== id && ['gone', 'refused'].includes(shown.state)) here.chat.forget(shown.id);
  show(id ? here.chat.enter(id) : null);
}

function show(room) {
  if (shown) shown.watched = false;
  const left = shown !== null && room === null;
  shown = room;
  page.dataset.pane = room ? 'room' : 'rooms';
  roomView.show(room);
  roomsView.select(room?.id);
  if (left) roomsView.focus();
  look();
}

/** Whoever looks at a room has seen what is in it. */
function look() {
  if (!shown) return;
  shown.watched = !document.hidden;
  if (shown.watched) shown.seen();
}

function retitle() {
  const unread = here?.chat.unread ?? 0;
  const name = shown?.info.title ? `${shown.info.title} · ${t('app.name')}` : t('app.name');
  document.title = unread ? `(${unread}) ${name}` : name;
}

window.addEventListener('hashchange', route);
for (const sign of ['online', 'offline']) window.addEventListener(sign, () => here?.connection.wake());
document.addEventListener('visibilitychange', () => {
  look();
  if (document.hidden) return;
  here?.connection.wake();
  here?.directory.refresh();
});
watchIdleness((state) => here?.chat.presence(state));

const identity = recall('identity');
if (identity && identity.until > Date.now()) enter(identity.token, identity.user);
else signin.show({ ended: identity !== null, nickname: identity?.user.name });
