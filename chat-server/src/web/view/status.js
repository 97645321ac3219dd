// The line that says how the connection is, when there is something to say: what happened, when the next attempt comes,
// and a button for now. It owns the line and the second hand; trying again is the connection's.

import { t } from '../i18n.js';
import { parts } from './dom.js';

export class StatusView {
  #root = document.querySelector('.status');
  #parts = parts(this.#root);
  #phase = document.querySelector('.me [data-part=phase]');
  #second = 0;
  #hadConnection = false;

  watch(connection) {
    this.#hadConnection = false;
    this.#parts.now.onclick = () => connection.wake();
    connection.on('status', (status) => this.#show(status));
  }

  #show(status) {
    clearInterval(this.#second);
    const { phase, code } = status;
    if (phase === 'open') this.#hadConnection = true;
    // Between two attempts and during one, the line stays as it is: a change a second would only flicker.
    const trying = phase === 'connecting' && this.#root.dataset.phase === 'waiting';
    this.#root.dataset.phase = trying ? 'waiting' : phase;
    this.#phase.textContent = t({ open: 'status.open', connecting: 'status.connecting' }[phase] ?? 'status.off');
    this.#phase.dataset.phase = phase;
    this.#say(trying ? 'waiting' : phase, code);
    this.#parts.now.hidden = phase !== 'waiting' && phase !== 'stopped';
    this.#parts.countdown.textContent = trying ? t('status.connecting') : '';
    if (phase === 'waiting') {
      this.#count(status.until);
      this.#second = setInterval(() => this.#count(status.until), 250);
    }
  }

  /** The sentence, for eyes and ears. It is written only when it differs, so that it is not read out again. */
  #say(phase, code) {
    const known = t(`status.${code}`);
    const text = {
      connecting: this.#hadConnection ? t('status.connecting') : '',
      waiting: t('status.waiting'),
      stopped: known === `status.${code}` ? t('status.stopped', { code: String(code) }) : known,
    }[phase] ?? '';
    if (this.#parts.text.textContent === text) return;
    this.#parts.text.textContent = text;
    this.#parts.hint.textContent = phase === 'waiting' ? t('status.waitingHint') : '';
  }

  #count(until) {
    const seconds = Math.max(0, Math.ceil((until - Date.now()) / 1000));
    this.#parts.countdown.textContent = t('status.in', { seconds });
  }
}
