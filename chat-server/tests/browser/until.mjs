// Waiting for something to become so. No test waits for time; each names what it waits for, and says so if it never came.

const PATIENCE = 30_000;
const PAUSE = 40;

/** Asks `ready` again and again until it gives something truthy, and returns that. `ready` may throw to give up. */
export async function until(what, ready) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const result = await ready();
    if (result) return result;
    if (Date.now() > end) throw new Error(`waited in vain until ${what}`);
    await new Promise((done) => setTimeout(done, PAUSE));
  }
}
