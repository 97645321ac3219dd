// Where the page is put together: signing in or going on as who this tab was, the address after `#` as the choice of a
// room, the tab's title, and the parts wired to each other. Every rule about rooms and messages is in the parts.

import { Api } from './api.js';
import { Chat } from './chat.js';
import { Connection } from './connection.js';
import { Directory } from './directory.js';
import { errorText, t, translate } from './i18n.js';
import { watchIdleness } from './idle.js';
import { Login } from './login.js';
import { forgetEverything } from './storage.js';
import { tell } from './view/dom.js';
import { NewRoomView } from './view/newroom.js';
import { RoomView } from './view/room.js';
import { RoomsView } from './view/rooms.js';
import { SigninView } from './view/signin.js';
import { StatusView } from './view/status.js';
import { YouView } from './view/you.js';

const page = document.getElementById('chat');
const api = new Api();
const login = new Login(api);
/** Of the person signed in: `{connection, chat, directory}`; null on the first screen. */
let here = null;
/** The room being shown, or null. */
let shown = null;

translate(document.body);
const status = new StatusView();
const roomView = new RoomView({ onLeave: leave, profileOf: (id) => api.user(id) });
const newRoom = new NewRoomView(async (title, ephemeral) => {
  go(await here.chat.open(title, ephemeral));
  here.directory.refresh();
});
const you = new YouView({
  read: () => api.user('me'),
  change: async (fields) => {
    const { name } = await api.changeProfile(fields);
    here?.chat.rename(name);
  },
  setPassword: (old, wanted) => api.setPassword(old, wanted),
  signOut,
  signOutEverywhere,
  deleteAccount: async (password, erase) => {
    await api.deleteAccount(password, erase);
    deleted();
  },
});
const roomsView = new RoomsView({
  onNew: () => newRoom.show(),
  onYou: () => (login.isGuest ? keep() : you.show(here.chat.user)),
  onKeep: keep,
  onSignOut: signOut,
});
const signin = new SigninView({
  guest: async ({ nickname }) => comeIn(await api.guest(nickname)),
  account: async ({ username, password }) => comeIn(await api.signIn(username, password)),
  new: async ({ username, nickname, password }) => comeIn(await api.signUp(username, nickname, password)),
}, stay);
login.on('renewed', (token) => here?.connection.renew(token));

/** Somebody has signed in. A guest who has got an account is the same person, in the same rooms. */
function comeIn(tokens) {
  if (here) exit();
  enter(login.take(tokens));
}

function enter(token) {
  api.token = token;
  const connection = new Connection();
  const chat = new Chat(connection, login.user);
  const directory = new Directory(api, () => connection.isOpen);
  here = { connection, chat, directory };
  chat.on('changed', retitle);
  chat.on('renamed', (name) => login.rename(name));
  chat.on('profile', () => you.refresh());
  connection.on('deleted', deleted);
  connection.on('unauthorized', async () => {
    // A tab that slept has missed the moment to refresh.
    const newer = await login.refresh();
    if (newer && here?.connection === connection) connection.start(newer);
    else signInAgain();
  });
  connection.on('open', () => directory.refresh());
  status.watch(connection);
  roomsView.show(chat, directory, login.isGuest);
  signin.hide();
  page.hidden = false;
  connection.start(token);
  route();
}

function exit() {
  here.directory.stop();
  here.connection.stop();
  newRoom.close();
  you.close();
  show(null);
  here = null;
  api.token = null;
  page.hidden = true;
  retitle();
}

/** The token is no longer good. The rooms and unsent messages stay for whoever goes on in this tab. */
function signInAgain() {
  if (!here) return;
  const nickname = here.chat.user.name;
  const way = login.isGuest ? 'guest' : 'account';
  login.end();
  exit();
  signin.show({ note: 'signin.ended', nickname, way });
}

/** A guest wants an account. The conversation waits behind. */
function keep() {
  page.hidden = true;
  signin.show({ nickname: here.chat.user.name, guest: here.chat.user });
}

function stay() {
  signin.hide();
  page.hidden = false;
}

function signOut() {
  // Whether or not the server hears it, this tab forgets.
  if (!login.isGuest) api.signOut().catch(() => {});
  forget();
  signin.show();
}

/** Here and on every other device; if the server does not hear it, nowhere. */
async function signOutEverywhere() {
  const { connection } = here;
  // The server closes every connection; of this one nobody needs to be told.
  connection.stop();
  try {
    await api.signOut({ everywhere: true });
  } catch (error) {
    connection.start(api.token);
    throw error;
  }
  forget();
  signin.show();
}

/** The account is gone, by what was done here or on another device. */
function deleted() {
  if (!here) return;
  forget();
  signin.show({ note: 'signin.deleted' });
}

/** Nothing is left in this tab of whoever was here. */
function forget() {
  exit();
  login.end();
  forgetEverything();
  history.replaceState(null, '', location.pathname);
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

const before = login.user;
const way = login.isGuest ? 'guest' : 'account';
const token = await login.goOn();
if (token) enter(token);
else signin.show({ note: before && 'signin.ended', nickname: before?.name, way });
