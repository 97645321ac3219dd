// How what happened in a room is worded: who came and went, what the owner and moderators did and until when, and what
// became of the settings. It turns a run of notices of the same kind into one sentence.

import { duration, ending, someNames, t } from '../i18n.js';

const MOST_NAMES = 5;

/** Whether two notices are said in one sentence: the same done by the same person, with the same end. */
export const alike = (a, b) => a.change !== 'settings' && a.change === b.change && a.by?.id === b.by?.id
  && a.role === b.role && a.until === b.until;

/** Notices that are alike, as a sentence; `called` are the names by which people go now. */
export function noticeText(notices, called) {
  const [{ change, by, until, at }] = notices;
  const name = change === 'settings' ? settingName(notices[0]) : changeName(notices[0]);
  const names = [...new Set(notices.map(({ user }) => user && called.now(user).name))];
  return t(`room.${name}`, {
    count: names.length,
    names: change === 'settings' ? '' : someNames(names, MOST_NAMES),
    by: by && called.now(by).name,
    until: until && ending(new Date(until), new Date(at)),
    every: name === 'slowOn' && duration(notices[0].value),
  });
}

function changeName({ change, role, until }) {
  if (change === 'role') return role;
  return until ? `${change}Until` : change;
}

const settingName = ({ name, value }) => ({
  invite: value === 'members' ? 'inviteMembers' : 'inviteModerators',
  slow_s: value ? 'slowOn' : 'slowOff',
  read_only: value ? 'readOnlyOn' : 'readOnlyOff',
}[name]);
