// The small tools that all views share: making elements without markup from strings, finding the static page's parts,
// keeping a list of elements in step with data, avatars and icons. No text from anybody is ever parsed as HTML.

const SVG = 'http://www.w3.org/2000/svg';
const TONES = 10;
const shown = new WeakMap();

/** An element with properties (`class`, `dataset`, attributes by name, anything else by property) and children. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === 'dataset') Object.assign(element.dataset, value);
    else if (name === 'class') element.className = value;
    else if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets or takes away an ARIA state or the like, whose absence means false. */
export function mark(element, attribute, value) {
  if (value) element.setAttribute(attribute, value);
  else element.removeAttribute(attribute);
}

/** The elements of `root` marked with `data-part`, by that name. */
export function parts(root) {
  const marked = [...root.querySelectorAll('[data-part]')];
  return Object.fromEntries(marked.map((element) => [element.dataset.part, element]));
}

export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  const use = document.createElementNS(SVG, 'use');
  use.setAttribute('href', `#icon-${name}`);
  svg.setAttribute('aria-hidden', 'true');
  svg.append(use);
  return svg;
}

/** A coloured disc with somebody's initials; the same id always gets the same colour. `state` adds a dot. */
export function avatar({ id, name, state }, most = 2) {
  let sum = 0;
  for (const letter of id) sum = (sum * 31 + letter.codePointAt(0)) >>> 0;
  return h('span', { class: `avatar tone-${sum % TONES}${state ? ` ${state}` : ''}`, 'aria-hidden': 'true' }, initials(name, most));
}

/** The first letters of the first and the last word, as a reader of any script would count letters; `most` is 1 or 2. */
function initials(name, most) {
  const words = name.trim().split(/\s+/);
  return [words[0], words.at(-1)].slice(0, Math.min(most, words.length)).map(firstLetter).join('').toLocaleUpperCase();
}

function firstLetter(word) {
  if (!Intl.Segmenter) return [...word][0] ?? '';
  return [...new Intl.Segmenter().segment(word)][0]?.segment ?? '';
}

/**
 * Makes `parent`'s children be `items`, in order: `{key, look, make, patch?}`. A child whose `look` is the same as before
 * is left alone; with another look it is patched if there is a `patch`, and made anew if not.
 */
export function keepInStep(parent, items) {
  const wanted = new Set(items.map(({ key }) => key));
  const present = new Map();
  for (const child of [...parent.children]) {
    const { key } = shown.get(child);
    if (wanted.has(key)) present.set(key, child);
    else child.remove();
  }
  let next = parent.firstElementChild;
  for (const { key, look, make, patch } of items) {
    let child = present.get(key);
    if (child && shown.get(child).look !== look) {
      if (patch) patch(child);
      else {
        const fresh = make();
        child.replaceWith(fresh);
        if (next === child) next = fresh;
        child = fresh;
      }
    }
    child ??= make();
    shown.set(child, { key, look });
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
}

/** `draw`, but at most once for everything that happens in one turn. */
export function soon(draw) {
  let due = false;
  return () => {
    if (due) return;
    due = true;
    queueMicrotask(() => {
      due = false;
      draw();
    });
  };
}

const notice = document.getElementById('notice');
let noticeTimer;

/** Tells of something that went wrong and belongs to no field, for a few seconds. */
export function tell(text) {
  clearTimeout(noticeTimer);
  notice.textContent = text;
  notice.hidden = false;
  noticeTimer = setTimeout(() => (notice.hidden = true), 6_000);
}
