// The dialog about oneself, for whoever has an account: what others see, the ways out, and, a step further in, another
// password and the end of the account. It owns the step being shown and the profile as it was last read; what becomes of
// a sign-out or a deletion is the caller's.

import { unconfirmed } from '../errors.js';
import { errorText, t } from '../i18n.js';
import { avatar } from './dom.js';
import { Dialog } from './dialog.js';
import { Form } from './form.js';

const STEPS = ['profile', 'password', 'deletion'];

/** What the form says of a profile. */
const fieldsOf = ({ name, status }) => ({ nickname: name, status });

export class YouView {
  #dialog = new Dialog('you');
  #forms;
  #actions;
  #profile = null;
  #asked = 0;

  /**
   * Each of `actions` promises that it is done: `read()`, which answers the profile, `change(fields)`,
   * `setPassword(old, new)`, `signOut()`, `signOutEverywhere()` and `deleteAccount(password, erase)`.
   */
  constructor(actions) {
    const { parts } = this.#dialog;
    const form = (step, submit) => new Form(parts[step], submit, (text) => this.#dialog.complain(text));
    this.#actions = actions;
    this.#forms = {
      profile: form('profile', (values) => this.#save(values)),
      password: form('password', (values) => this.#setPassword(values)),
      deletion: form('deletion', (values) => this.#delete(values)),
    };
    parts['to-password'].onclick = () => this.#go('password');
    parts['to-deletion'].onclick = () => this.#go('deletion');
    for (const step of ['password', 'deletion']) parts[`${step}-back`].onclick = () => this.#go('profile');
    // A password is not kept in a closed dialog.
    this.#dialog.onClose(() => Object.values(this.#forms).forEach((one) => one.reset()));
    parts.out.onclick = () => this.#signOut(actions.signOut);
    parts.everywhere.onclick = () => this.#signOut(actions.signOutEverywhere);
  }

  /** Opens it for this user, of whom the rest is read meanwhile. */
  show(user) {
    this.#profile = { ...user, status: '', username: null };
    this.#draw();
    this.#forms.profile.reset(fieldsOf(this.#profile));
    this.#go('profile');
    this.refresh();
  }

  close() {
    this.#dialog.close();
  }

  /** Reads the profile, which may have been changed on another device. What was typed meanwhile stays. */
  async refresh() {
    if (!this.#dialog.isOpen) return;
    const turn = ++this.#asked;
    try {
      const profile = await this.#actions.read();
      if (turn !== this.#asked) return;
      const [known, typed] = [fieldsOf(this.#profile), this.#forms.profile.values];
      const untouched = Object.entries(fieldsOf(profile)).filter(([name]) => typed[name] === known[name]);
      this.#forms.profile.fill(Object.fromEntries(untouched));
      this.#profile = profile;
      this.#draw();
    } catch (error) {
      if (turn === this.#asked) this.#dialog.complain(errorText(error));
    }
  }

  #draw() {
    const { parts } = this.#dialog;
    const { name, username } = this.#profile;
    parts.avatar.replaceChildren(avatar(this.#profile));
    parts.name.textContent = name;
    parts.username.textContent = username ?? '';
    parts['deletion-lead'].textContent = t('you.deletionLead', { username });
    parts['to-deletion'].disabled = !username;
  }

  /** Shows a step; `said` is what has come of the one before. */
  #go(step, said = '') {
    const { parts } = this.#dialog;
    for (const one of STEPS) parts[one].hidden = one !== step;
    if (step !== 'profile') this.#forms[step].reset();
    this.#dialog.open(parts.name);
    parts.said.textContent = said;
  }

  async #save(values) {
    const known = fieldsOf(this.#profile);
    const changed = Object.entries(values).filter(([name, value]) => value !== known[name]);
    if (changed.length) await this.#actions.change(Object.fromEntries(changed));
    this.close();
  }

  async #setPassword({ old, new: wanted }) {
    await this.#actions.setPassword(old, wanted);
    this.#go('profile', t('you.passwordSet'));
  }

  async #delete({ confirm, password, erase }) {
    if (confirm.trim().toLowerCase() !== this.#profile.username) throw unconfirmed();
    await this.#actions.deleteAccount(password, erase);
  }

  async #signOut(act) {
    const { out, everywhere } = this.#dialog.parts;
    out.disabled = everywhere.disabled = true;
    try {
      await act();
    } catch (error) {
      this.#dialog.complain(errorText(error));
    }
    out.disabled = everywhere.disabled = false;
  }
}
