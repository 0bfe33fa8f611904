// Which entries a log has, and which membership governs each.

import { lastAtMost } from "./tools.js";

/** @typedef {import("./wire.js").LogDrawing} Log */
/** @typedef {import("./wire.js").BookEntry} BookEntry */

/**
 * The entries of a log between two indexes, as `[index, term, leader]`.
 *
 * @param {Log} log @param {number} first @param {number} right
 * @returns {[number, number, number][]}
 */
export function entriesOf(log, first, right) {
  /** @type {[number, number, number][]} */
  const found = [];
  const start = Math.max(first, log.start + 1);
  let run = lastAtMost(log.runs, start, (one) => one[0]);
  for (let index = start; index <= Math.min(right, log.last); index += 1) {
    while (log.runs[run + 1]?.[0] <= index) run += 1;
    if (log.runs[run]) found.push([index, log.runs[run][1], log.runs[run][2]]);
  }
  return found;
}

/**
 * The membership that an entry was written under, as far as the book knows.
 *
 * @param {Log} log @param {Record<string, BookEntry>} book @param {number} index
 */
export function governs(log, book, index) {
  for (let place = index; place > log.start; place -= 1) {
    const run = log.runs[lastAtMost(log.runs, place, (one) => one[0])];
    const entry = run && book[`${place}.${run[1]}.${run[2]}`];
    if (!entry) return null;
    if (entry[2]) return entry[2];
  }
  return null;
}

/**
 * The columns that the window shows: `right` is the last of them, null for the newest.
 *
 * @param {number | null} right @param {number} newest @param {number} columns
 */
export function windowOf(right, newest, columns) {
  const last = right ?? newest;
  return { first: last - columns + 1, last };
}
