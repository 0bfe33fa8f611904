// Small pure tools.

/** @param {number} low @param {number} value @param {number} high */
export const clamp = (low, value, high) => Math.max(low, Math.min(high, value));

/** @param {number} node How a server is called. */
export const name = (node) => `n${node}`;

/** @param {number} time */
export const seconds = (time) => `${time.toFixed(3)} s`;

/** @param {number[]} set */
export const braces = (set) => `{${set.join(",")}}`;

/** @param {string} text Short enough for a cell of the logs. */
export const clip = (text) => (text.length > 6 ? `${text.slice(0, 5)}…` : text);

/** @param {string} text What was typed: a number if it is one. */
export const typed = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

/** @param {string} text A sentence without its sections of the paper. */
export const withoutSections = (text) => text.replace(/ \([^()]*§[^()]*\)(?=;|$)/g, "");

/**
 * The last place in sorted `list` whose key is at most `value`; -1 if there is none.
 *
 * @template T
 * @param {T[]} list @param {number} value @param {(one: T) => number} key
 */
export function lastAtMost(list, value, key) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** @type {WeakMap<object, unknown[]>} */
const shown = new WeakMap();

/**
 * Whether a drawing shows these very things already; from now on it does.
 *
 * @param {object} drawing @param {unknown[]} things
 */
export function isSame(drawing, things) {
  const before = shown.get(drawing);
  shown.set(drawing, things);
  return before !== undefined && things.every((thing, place) => thing === before[place]);
}

/** @param {object} drawing It must be drawn again. */
export const forget = (drawing) => shown.delete(drawing);

/** @param {string} text A 32-bit fingerprint, the same for equal texts. */
export function hash(text) {
  let bits = 0x811c9dc5;
  for (const letter of text) bits = Math.imul(bits ^ (letter.codePointAt(0) ?? 0), 0x01000193);
  return (bits ^ (bits >>> 15)) >>> 0;
}

/** @param {string[]} lines Without the indentation that all of them have. */
export function dedent(lines) {
  const depth = Math.min(...lines.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(depth));
}

/**
 * A sentence of the story, and the section of the paper at its end.
 *
 * @param {string} text
 * @returns {[string, string]}
 */
export function splitSection(text) {
  const found = /^(.*?)( \([^()]*(?:§|Figure|openraft)[^()]*\))?$/s.exec(text);
  return found ? [found[1], found[2] ?? ""] : [text, ""];
}

/**
 * The colour of a term, and one for text on it.
 *
 * @param {import("./wire.js").Colours} colours @param {number} term
 */
export function termColour({ palette, none, dark }, term) {
  const fill = term > 0 ? palette[(term - 1) % palette.length] : none;
  return { fill, ink: dark.includes(fill) ? "#FFFFFF" : "#1F2933" };
}
