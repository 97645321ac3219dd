// What the log consists of, top to bottom: day lines, messages in groups by sender, what else happened, and our unsent
// messages. It turns a room's state into items to draw and each item into its element; it owns no state.

import { day, errorText, moment, t, time } from '../i18n.js';
import { avatar, h, icon } from './dom.js';
import { alike, noticeText } from './notices.js';

const GROUP_LASTS = 5 * 60_000;

/** The items of `room`, for `keepInStep`. */
export function itemsOf(room) {
  const entries = inOrder(room);
  const items = [];
  let lastDay = null;
  entries.forEach((entry, at) => {
    const item = entry.notices ? noticeItem(entry, room) : messageItem(entry, entries[at - 1], entries[at + 1], room);
    if (entry.onDay !== lastDay) items.push(dayItem(entry.date, item.key));
    lastDay = entry.onDay;
    items.push(item);
  });
  return items;
}

/** Messages, notices and unsent messages, each with its date. Alike notices between the same two messages become one. */
function inOrder(room) {
  const { user, people: { names } } = room;
  const notices = room.notices.all;
  const { messages, hasOlder } = room.timeline;
  const entries = [];
  let at = 0;
  const noticesUntil = (limit) => {
    for (; at < notices.length && notices[at].at <= limit; at += 1) {
      const notice = notices[at];
      const previous = entries.at(-1)?.notices;
      if (previous && alike(previous[0], notice)) previous.push(notice);
      else entries.push({ ...whenOf(notice), notices: [notice] });
    }
  };
  // What happened before the oldest message that is loaded belongs further up, where nothing is shown yet.
  if (hasOlder) while (at < notices.length && notices[at].at <= messages[0].at) at += 1;
  for (const message of messages) {
    noticesUntil(message.at);
    entries.push({ ...whenOf(message), from: names.now(message.from), mine: message.from.id === user.id, message });
  }
  noticesUntil('9999');
  for (const unsent of room.outbox.toShow(messages)) {
    entries.push({ ...whenOf(unsent), from: user, mine: true, unsent });
  }
  return entries;
}

const known = new WeakMap();

/** When something happened, worded once: `{date, onDay, atTime}`. */
function whenOf(happening) {
  if (!known.has(happening)) {
    const date = new Date(happening.at);
    known.set(happening, { date, onDay: date.toDateString(), atTime: time(date) });
  }
  return known.get(happening);
}

const together = (a, b) => a?.from && b?.from && a.from.id === b.from.id && b.date - a.date < GROUP_LASTS
  && a.onDay === b.onDay && Boolean(a.unsent) === Boolean(b.unsent);

function dayItem(date, above) {
  const text = day(date);
  return { key: `day above ${above}`, look: text, make: () => h('li', { class: 'day' }, h('span', {}, text)) };
}

function noticeItem({ notices }, room) {
  const text = noticeText(notices, room.people.names);
  return {
    key: `notice ${notices[0].key}`,
    look: text,
    make: () => h('li', { class: 'event', dataset: { testid: 'notice' } }, h('span', { dir: 'auto' }, text)),
  };
}

function messageItem(entry, previous, next, room) {
  const head = !together(previous, entry);
  const tail = !together(entry, next);
  const showTime = tail || entry.atTime !== next.atTime;
  const classes = ['message', entry.mine && 'mine', head && 'head', tail && 'tail'];
  if (entry.unsent) return unsentItem(entry, classes, tail, room);
  const { seq, text, deleted, edited } = entry.message;
  return {
    key: `message ${seq}`,
    look: [head, tail, showTime, deleted, edited, entry.from.name].join('\n'),
    make: () => h('li', { class: classes.filter(Boolean).join(' '), dataset: { testid: 'message', seq } },
      !entry.mine && (head ? avatar(entry.from) : h('span', { class: 'avatar none' })),
      h('div', { class: 'body' },
        who(entry, head),
        h('div', { class: 'line' }, deleted ? erased() : bubble(text), edited && editedAt(edited), h('time', {
          class: showTime ? '' : 'unseen', datetime: entry.message.at, title: moment(entry.date) }, entry.atTime)))),
  };
}

/** Of several that wait, only the last says so; each that failed says why. */
function unsentItem(entry, classes, tail, room) {
  const { unsent } = entry;
  const failed = unsent.state === 'failed';
  const late = room.state !== 'live' || unsent.error;
  const slow = room.state === 'live' && unsent.error?.code === 'slow_mode';
  const state = failed ? whyFailed(unsent.error) : t(slow ? 'message.slow' : late ? 'message.waiting' : 'message.sending');
  return {
    key: `unsent ${unsent.key}`,
    look: [state, ...classes].join('\n'),
    make: () => h('li', {
      class: [...classes, failed ? 'failed' : 'pending'].filter(Boolean).join(' '),
      dataset: { testid: failed ? 'failed' : 'pending', key: unsent.key },
    }, h('div', { class: 'body' },
      who(entry, true),
      h('div', { class: 'line' }, bubble(unsent.text)),
      (tail || failed) && h('div', { class: 'fate' }, icon(failed ? 'warning' : 'clock'), h('span', {}, state),
        failed && choice('message.retry', () => room.outbox.retry(unsent.key)),
        failed && choice('message.discard', () => room.outbox.discard(unsent.key))))),
  };
}

/** Of a message under an identity that has ended, nobody knows whether it was sent; any other failure is certain. */
const whyFailed = (error) => (error.code === 'unsure' ? errorText(error) : `${t('message.failed')} ${errorText(error)}`);

/** The sender's name: seen at the head of a group, heard with every message. */
const who = ({ mine, from }, head) =>
  h('div', { class: mine || !head ? 'who unseen' : 'who', dir: 'auto' }, mine ? t('message.you') : from.name);

const choice = (text, onclick) => h('button', { class: 'link', type: 'button', onclick }, t(text));

/** That a text is not the first one of its message, and since when. */
const editedAt = (at) => h('small', { class: 'edited', title: moment(new Date(at)), dataset: { testid: 'edited' } }, t('message.edited'));

/** What stands in the place of a text that has been deleted. */
const erased = () => h('div', { class: 'bubble erased', dataset: { testid: 'erased' } }, t('message.deleted'));

const bubble = (text) => h('div', { class: 'bubble', dir: 'auto', dataset: { testid: 'text' } }, text);
