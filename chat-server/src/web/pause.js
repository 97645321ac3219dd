// Waiting: how long before trying again, growing with every attempt and random, so that many clients that lost the same
// server do not come back in the same moment; and being called at a time that may be far off.

const FIRST = 600;
const LONGEST = 20_000;
const LONGEST_TIMER = 2 ** 31 - 1; // A browser's timer counts to 24 days, and takes more for none at all.

/** Milliseconds to wait after the attempt of this number (0 is the first) has failed. */
export function pauseAfter(attempt) {
  const most = Math.min(LONGEST, FIRST * 2 ** Math.min(attempt, 10));
  return Math.round(most / 2 + Math.random() * (most / 2));
}

export const wait = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

/** Calls `act` in so many milliseconds, be it years. Returns a function that takes it back. */
export function later(milliseconds, act) {
  let timer;
  const count = (left) => {
    const step = Math.min(Math.max(left, 0), LONGEST_TIMER);
    timer = setTimeout(() => (left > step ? count(left - step) : act()), step);
  };
  count(milliseconds);
  return () => clearTimeout(timer);
}
