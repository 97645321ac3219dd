// Whether somebody is at the page: away after five minutes without a key, a touch or a look, back at the first of them.
// It owns one timer; what is done with the answer is its listener's.

const AWAY_AFTER = 5 * 60_000;

/** Calls `listener` with `away` or `online` whenever that changes. */
export function watchIdleness(listener) {
  let state = 'online';
  let timer;
  const become = (next) => {
    if (state === next) return;
    state = next;
    listener(state);
  };
  const active = () => {
    clearTimeout(timer);
    timer = setTimeout(() => become('away'), AWAY_AFTER);
    become('online');
  };
  for (const sign of ['keydown', 'pointerdown', 'pointermove', 'wheel', 'focus']) {
    window.addEventListener(sign, active, { passive: true });
  }
  document.addEventListener('visibilitychange', () => document.hidden || active());
  active();
}
