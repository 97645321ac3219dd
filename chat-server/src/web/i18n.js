// The page's language: English or Korean, whichever the browser asks for first, English if neither. It owns the choice,
// puts texts into the static page, and words dates, numbers, lists and errors. The texts themselves are in `texts/`.

import en from './texts/en.js';
import ko from './texts/ko.js';

const known = { en, ko };
const asked = (navigator.languages ?? [navigator.language]).map((tag) => tag.toLowerCase().split('-')[0]);

export const language = asked.find((base) => known[base]) ?? 'en';
const texts = known[language];
// Dates follow the browser's own region (British or American, say) as long as it speaks the page's language.
const region = navigator.language?.toLowerCase().startsWith(language) ? navigator.language : language;

const UNITS = [['week', 604_800], ['day', 86_400], ['hour', 3_600], ['minute', 60], ['second', 1]];
const plural = new Intl.PluralRules(region);
const clock = new Intl.DateTimeFormat(region, { timeStyle: 'short' });
const calendar = new Intl.DateTimeFormat(region, { weekday: 'long', year: 'numeric', month: 'long', day: 'numeric' });
const dated = new Intl.DateTimeFormat(region, { dateStyle: 'medium', timeStyle: 'short' });
const full = new Intl.DateTimeFormat(region, { dateStyle: 'full', timeStyle: 'medium' });
const relative = new Intl.RelativeTimeFormat(region, { numeric: 'auto' });
const conjunction = new Intl.ListFormat(region, { type: 'conjunction' });
const order = new Intl.Collator(region, { numeric: true });
const numbers = new Intl.NumberFormat(region);

/** The text called `name`; `{x}` in it becomes `values.x`, and `values.count` chooses between singular and plural. */
export function t(name, values = {}) {
  const text = texts[name] ?? en[name] ?? name;
  const form = typeof text === 'string' ? text : (text[plural.select(values.count)] ?? text.other);
  return form.replace(/\{(\w+)\}/g, (_, key) => (typeof values[key] === 'number' ? numbers.format(values[key]) : values[key]));
}

/** An error in the reader's words: by its code, and for a code not known here, the server's own words. */
export function errorText(error) {
  const name = `error.${error.code}`;
  // Whoever is signed in has given no username.
  if (error.code === 'bad_credentials' && error.field) return t('error.wrongPassword');
  if (error.until) return t(`${name}Until`, { until: ending(new Date(error.until)) });
  return texts[name] ? t(name, { ...error, message: error.message }) : error.message;
}

export const compareNames = (a, b) => order.compare(a, b);
export const time = (date) => clock.format(date);
export const moment = (date) => full.format(date);

/** When something ends that was begun at `since`: the time of day is enough on the same day. */
export const ending = (date, since = new Date()) => (date.toDateString() === since.toDateString() ? clock : dated).format(date);

/** Some seconds in words, in the largest unit of which they are a whole number. */
export function duration(seconds) {
  const [unit, size] = UNITS.find(([, size]) => seconds % size === 0);
  return new Intl.NumberFormat(region, { style: 'unit', unit, unitDisplay: 'long' }).format(seconds / size);
}

/** What is left of a wait, as a clock shows it: 0:42, 5:00, 1:02:03. */
export function countdown(milliseconds) {
  const seconds = Math.ceil(milliseconds / 1_000);
  const [hours, minutes] = [Math.floor(seconds / 3_600), Math.floor(seconds / 60) % 60];
  const digits = (number) => String(number).padStart(2, '0');
  return [hours ? `${hours}:${digits(minutes)}` : minutes, digits(seconds % 60)].join(':');
}

/** Names as a sentence lists them; of more than `most`, how many others there are. */
export function someNames(names, most) {
  const others = names.length - most;
  return conjunction.format(others > 0 ? [...names.slice(0, most), t('names.more', { count: others })] : names);
}

/** The day in words: today, yesterday, or its date. */
export function day(date) {
  const daysAgo = Math.round((startOfDay(new Date()) - startOfDay(date)) / 86_400_000);
  return daysAgo >= 0 && daysAgo < 2 ? capital(relative.format(-daysAgo, 'day')) : calendar.format(date);
}

/** Fills in the static page: `data-t` an element's text, `data-t-<attribute>` that attribute. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const element of root.querySelectorAll('*')) {
    for (const [key, name] of Object.entries(element.dataset)) {
      if (key === 't') element.textContent = t(name);
      else if (/^t[A-Z]/.test(key)) element.setAttribute(attributeOf(key), t(name));
    }
  }
}

const attributeOf = (key) => key.slice(1).replace(/[A-Z]/g, (letter, at) => (at ? '-' : '') + letter.toLowerCase());
const startOfDay = (date) => new Date(date.getFullYear(), date.getMonth(), date.getDate());
const capital = (text) => text.charAt(0).toLocaleUpperCase(region) + text.slice(1);
