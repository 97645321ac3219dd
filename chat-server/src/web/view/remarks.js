// What is said of a member beside its name: whether it is us, its role, whether it is muted, and with how many devices it
// is here.

import { ending, t } from '../i18n.js';

export function remarks(member, room) {
  const mute = room.people.mutes.of(member.id);
  return [
    member.id === room.me?.id && t('people.you'),
    member.role === 'owner' && t('people.owner'),
    member.role === 'moderator' && t('people.moderator'),
    // The owner can be muted by becoming the owner, and writes all the same.
    mute && member.role !== 'owner' && (mute.until ? t('people.mutedUntil', { until: ending(mute.until) }) : t('people.muted')),
    member.devices > 1 && t('people.devices', { count: member.devices }),
  ].filter(Boolean).join(' · ');
}
