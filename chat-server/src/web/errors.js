// What can go wrong, in one shape: the server's errors (a reply's `error`, or a problem document over HTTP) and those that
// only a client can see: a lost connection, an answer that is not the server's, and something grave that was not
// confirmed. It leaves out how they are worded: `i18n.js` does that by `code`.

export class ChatError extends Error {
  /** `retry` says whether the very same request may succeed later, `until` when a ban or a mute ends, if it does. */
  constructor({ code, message, detail, retry = false, field, limit, actual, until }) {
    super(message ?? detail ?? code);
    Object.assign(this, { code, retry, field, limit, actual, until });
  }
}

/** There is no connection, or it went before the answer came: nobody knows whether the request took effect. */
export const connectionLost = () => new ChatError({ code: 'connection_lost', retry: true });

/** An HTTP answer that is not one of this server's, a proxy's error page for example. */
export const strangeAnswer = (status) =>
  new ChatError({ code: 'strange_answer', message: `HTTP ${status}`, retry: status >= 500 });

/** The username by which a deletion is confirmed is another one. */
export const unconfirmed = () => new ChatError({ code: 'unconfirmed', field: 'confirm' });
