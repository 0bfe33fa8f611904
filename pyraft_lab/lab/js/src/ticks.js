// The timeline's layout: its window of time, marks with room for their labels, and what one can jump to.

import { clamp } from "./tools.js";

/** @typedef {import("./wire.js").Mark} Mark */
/** @typedef {import("./wire.js").Timeline} Timeline */

/** Small pictures for what stands out: a shape, and its attributes. */
export const SHAPES = /** @type {Record<string, ["path" | "rect" | "circle", Record<string, unknown>]>} */ ({
  election: ["path", { class: "rl-solid", d: "M0 -5 5 0 0 5 -5 0z" }],
  crash: ["path", { d: "M-4 -4 4 4M4 -4 -4 4" }],
  restart: ["path", { d: "M-4 3 0 -4 4 3z" }],
  silent: ["path", { d: "M-4 -4 4 4M4 -4 -4 4" }],
  heard: ["path", { d: "M-4 3 0 -4 4 3z" }],
  pause: ["path", { d: "M-2.5 -4V4M2.5 -4V4" }],
  resume: ["path", { d: "M-3 -4 4 0 -3 4z" }],
  write: ["path", { d: "M0 -5V5" }],
  membership: ["path", { d: "M-4 -4V1A4 4 0 0 0 4 1V-4" }],
  commit: ["path", { class: "rl-light", d: "M-3 0 -1 2.5 3 -2.5" }],
  snapshot: ["rect", { class: "rl-solid", x: -3.5, y: -3.5, width: 7, height: 7 }],
  timeout: ["circle", { r: 3.2 }],
  partition: ["path", { d: "M-5 -4V4M5 -4V4M-1 0H1" }],
  cut: ["path", { d: "M-5 0H-2M2 0H5" }],
  heal: ["path", { d: "M-5 0H5" }],
  violation: ["path", { class: "rl-solid", d: "M-2 -6H2L1 2H-1zM-1.5 4H1.5V7H-1.5z" }],
});
export const OTHER_SHAPE = /** @type {["circle", Record<string, unknown>]} */ (["circle", { r: 2 }]);

/** The most important first: they get their labels. */
const IMPORTANT = ["violation", "election", "crash", "silent", "membership", "snapshot", "partition", "timeout"];
const FAULTS = ["partition", "cut", "heal", "drop", "delay", "duplicate", "pause", "resume", "drift"];

/** What one can jump to, and the kinds of marks that it means. */
export const SOUGHT = /** @type {Record<string, string[]>} */ ({
  marks: IMPORTANT,
  elections: ["election"],
  crashes: ["crash", "restart", "silent", "heard"],
  writes: ["write"],
  commits: ["commit"],
  memberships: ["membership"],
  snapshots: ["snapshot"],
  faults: FAULTS,
  violations: ["violation"],
});

/** @param {string} kind Its place among the important ones; all others come after them. */
function rank(kind) {
  const place = IMPORTANT.indexOf(kind);
  return place < 0 ? IMPORTANT.length : place;
}

/**
 * Where to draw each mark, and where its label, if there is room: the important ones come first.
 *
 * @param {Mark[]} marks @param {(time: number) => number} at @param {number} width
 * @returns {{ mark: Mark, x: number, label: number | null }[]}
 */
export function layTicks(marks, at, width) {
  const taken = new Set();
  /** @type {[number, number][]} */
  const labels = [];
  const found = [];
  for (const mark of [...marks].sort((a, b) => rank(a[2]) - rank(b[2]))) {
    const x = at(mark[1]);
    const slot = Math.round(x / 8);
    if (taken.has(slot)) continue;
    taken.add(slot);
    const half = mark[4].length * 2.9;
    const middle = clamp(half, x, width - half);
    const fits = labels.every(([left, right]) => middle - half > right + 8 || middle + half < left - 8);
    if (fits) labels.push([middle - half, middle + half]);
    found.push({ mark, x, label: fits ? middle : null });
  }
  return found;
}

/** @param {Timeline} timeline When the last event that has happened took place. */
export const seenTime = ({ times, seen }) => times[Math.min(seen, times.length - 1)];

/**
 * The part of time that is drawn, as `[left, right]`.
 *
 * @param {number} start @param {number} end @param {number | null} span What is shown of it, null for all.
 * @param {number} now What stays in the middle.
 * @returns {[number, number]}
 */
export function timeWindow(start, end, span, now) {
  const all = start + Math.max(end - start, 0.05) * 1.02;
  if (span == null || span >= all - start) return [start, all];
  const left = clamp(start, now - span / 2, all - span);
  return [left, left + span];
}

/**
 * The mark to jump to, before or after an event.
 *
 * @param {Timeline} timeline @param {number} event @param {number} by -1 or 1 @param {string} sought
 */
export function nextMark(timeline, event, by, sought) {
  const kinds = SOUGHT[sought];
  const marks = timeline.marks.filter((mark) => mark[0] <= timeline.seen && kinds.includes(mark[2]));
  return by > 0 ? marks.find((mark) => mark[0] > event) : marks.findLast((mark) => mark[0] < event);
}
