// Marks that several views draw: messages, and the little pictures of state machines.

import { s } from "./dom.js";
import { hash } from "./tools.js";
import { messageLabel } from "./words.js";

/** @typedef {import("./wire.js").MessageDrawing} Message */

/**
 * A letter for its kind, filled for requests, hollow with + or − for answers, small for heartbeats.
 *
 * @param {Message} flight @param {boolean} [isPlain]
 */
export function messageMark(flight, isPlain) {
  const beat = flight.glyph === "H";
  const label = messageLabel(flight, isPlain);
  const size = Math.min(10.5, 25 / label.length);
  return s(
    "g",
    { class: `rl-glyph ${flight.answer ? "rl-answer" : ""} ${beat ? "rl-beat" : ""}` },
    s("circle", { r: beat ? 5 : 11 }),
    s("text", { y: 0.36 * size, "font-size": size.toFixed(1) }, label),
  );
}

/** @param {Message} flight @param {boolean} [isPlain] */
export const messageIcon = (flight, isPlain) =>
  s(
    "svg",
    { width: 20, height: 20, viewBox: "-12.5 -12.5 25 25", "aria-hidden": "true" },
    messageMark(flight, isPlain),
  );

/** @param {string} digest The same picture for equal state machines. */
export function digestMark(digest) {
  const bits = hash(digest);
  const dots = [];
  for (let place = 0; place < 15; place += 1) {
    if (!((bits >> place) & 1)) continue;
    const column = place % 3;
    const line = Math.floor(place / 3);
    for (const x of column === 2 ? [2] : [column, 4 - column]) dots.push(`M${x * 2.4} ${line * 2.4}h2.4v2.4h-2.4z`);
  }
  return s("path", { class: "rl-digest", d: dots.join("") });
}
