// How long to wait before trying again: growing with every attempt, and random, so that many clients that lost the same
// server do not come back in the same moment.

const FIRST = 600;
const LONGEST = 20_000;

/** Milliseconds to wait after the attempt of this number (0 is the first) has failed. */
export function pauseAfter(attempt) {
  const most = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 10));
  return Math.round(most / 2 + Math.random() * (most / 2));
}

export const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
