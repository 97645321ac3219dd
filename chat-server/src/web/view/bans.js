// The dialog with everybody who is banned from the room, until when, and a button to lift each ban. It owns the list as it
// was last asked for, and keeps up with bans and their lifting by whomever.

import { ending, errorText, t } from '../i18n.js';
import { avatar, h, keepInStep } from './dom.js';
import { Dialog } from './dialog.js';

const PAGE = 50;

export class BansView {
  #dialog = new Dialog('bans');
  #room = null;
  #bans = [];
  #next = null;
  #asked = 0;
  #stopListening = () => {};

  constructor() {
    this.#dialog.parts.more.onclick = () => this.#load(this.#bans, this.#next);
    this.#dialog.onClose(() => this.#stopListening());
  }

  show(room) {
    this.#room = room;
    this.#stopListening = room.on('barred', ({ change, user }) => (change === 'banned' ? this.#load() : this.#drop(user.id)));
    this.#dialog.parts.list.replaceChildren();
    this.#dialog.open(this.#dialog.parts.title);
    this.#load();
  }

  /** Follows what has changed in the room being shown: who may no longer lift bans no longer sees them. */
  draw(room) {
    if (this.#dialog.isOpen && (room !== this.#room || !room?.standing.moderates)) this.#dialog.close();
  }

  /** Adds a page to those that are known, none at first. An answer that was overtaken by a newer question is dropped. */
  async #load(known = [], after = null) {
    const turn = ++this.#asked;
    const { parts } = this.#dialog;
    if (!known.length) parts.empty.hidden = true;
    try {
      const { bans, next } = await this.#room.ask('bans', { limit: PAGE, ...(after && { after }) });
      if (turn !== this.#asked) return;
      this.#bans = [...known, ...bans];
      this.#next = next;
      this.#drawNow();
    } catch (error) {
      if (turn === this.#asked) this.#dialog.complain(errorText(error));
    }
  }

  #drop(id) {
    this.#bans = this.#bans.filter((ban) => ban.id !== id);
    this.#drawNow();
  }

  #drawNow() {
    const { parts } = this.#dialog;
    const focused = parts.list.contains(document.activeElement);
    keepInStep(parts.list, this.#bans.map((ban) => this.#item(ban)));
    parts.empty.hidden = this.#bans.length > 0;
    parts.more.hidden = !this.#next;
    // The button that had the keyboard has gone with its ban.
    if (focused && !parts.list.contains(document.activeElement)) parts.title.focus();
  }

  #item({ id, name, until }) {
    const end = until ? t('bans.until', { until: ending(new Date(until)) }) : t('bans.noEnd');
    return {
      key: id,
      look: [name, end].join('\n'),
      make: () => h('li', { class: 'person', dataset: { testid: 'ban', user: id } },
        avatar({ id, name }),
        h('span', { class: 'words' }, h('strong', { dir: 'auto' }, name), h('small', {}, end)),
        h('button', {
          class: 'quiet', type: 'button', 'aria-label': t('bans.liftOf', { name }), dataset: { testid: 'lift' },
          onclick: (event) => this.#lift(id, event.currentTarget),
        }, t('bans.lift'))),
    };
  }

  async #lift(id, button) {
    button.disabled = true;
    this.#dialog.complain('');
    try {
      await this.#room.act('unban', id);
      // Nobody is told of a ban that had ended meanwhile.
      this.#drop(id);
    } catch (error) {
      button.disabled = false;
      this.#dialog.complain(errorText(error));
    }
  }
}
