// All logs, aligned by index, in one window that slides.

import { h, s, set } from "./dom.js";
import { entriesOf, governs, windowOf } from "./entries.js";
import { digestMark } from "./marks.js";
import { idsOf } from "./scenes.js";
import { braces, clamp, clip, forget, isSame, name } from "./tools.js";
import { logsWords, membershipWords } from "./words.js";

/** @typedef {import("./scenes.js").Scene} Scene */
/** @typedef {import("./wire.js").ServerDrawing} Server */

const CELL = 36;
const HALF = 16;
const BARS = 12; // parts of an arriving snapshot that are drawn at most

/** What marks mean, and where they are found: only those in sight are explained. */
function legend() {
  /** @param {string} look */
  const cell = (look) =>
    s(
      "g",
      { class: `rl-cell ${look}` },
      s("rect", { x: 1.5, y: 1.5, width: 11, height: 11, rx: 2, fill: "none" }),
      s("rect", { class: "rl-edge", x: 1.5, y: 1.5, width: 11, height: 11, rx: 2 }),
    );
  const marks = /** @type {[string, Element, string][]} */ ([
    [".rl-done", cell("rl-done"), "committed"],
    [".rl-cell:not(.rl-done)", cell(""), "not yet committed"],
    [".rl-wet", cell("rl-pale"), "not on disk yet"],
    [".rl-match", s("circle", { class: "rl-match", cx: 7, cy: 7, r: 3.5 }), "matches the leader's"],
    [".rl-next", s("path", { class: "rl-next", d: "M7 3l4.5 8h-9z" }), "is sent next"],
    [".rl-digest", s("g", { transform: "translate(1 1)" }, digestMark("legend")), "same picture, same state"],
  ]);
  return marks.map(([where, mark, words]) => {
    const svg = s("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark);
    return { where, root: h("span", {}, svg, words) };
  });
}

export class LogsView {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    /** @type {number | null} The last column; null: the newest. */
    this.right = null;
    this.first = 1;
    this.last = 1;
    this.columns = 5;
    this.width = 0;
    this.rowHeight = 52;
    this.isBeside = false;
    this.key = "";
    this.svg = s("svg", { role: "img", width: "100%" });
    this.earlier = this.slideButton("◂", "Earlier entries", -6);
    this.later = this.slideButton("▸", "Later entries", 6);
    this.slider = h("span", { class: "rl-slide" }, this.earlier, this.later);
    this.legend = legend();
    this.sub = h("div", { class: "rl-sub" });
    const fill = h("div", { class: "rl-fill", style: "padding-top:10px" }, this.svg);
    const foot = h(
      "div",
      { class: "rl-legend" },
      this.legend.map((one) => one.root),
      this.slider,
    );
    this.root = h("div", { class: "rl-card rl-logs" }, h("h3", {}, "Logs"), this.sub, fill, foot);
    this.svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }

  /** @param {string} label @param {string} words @param {number} by */
  slideButton(label, words, by) {
    const look = { class: "rl-button", type: "button", "aria-label": words, onclick: () => this.slide(by) };
    return h("button", look, label);
  }

  /** @param {WheelEvent} event */
  wheel(event) {
    if (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    this.slide(Math.sign(event.deltaX + event.deltaY));
  }

  /** @param {number} width */
  layout(width) {
    this.width = Math.max(280, width);
    this.columns = Math.max(5, Math.floor((this.width - 56) / CELL));
    this.isBeside = this.root.offsetTop === this.lab.scene.root.offsetTop;
    this.redraw();
  }

  redraw() {
    this.key = "";
    forget(this.svg);
  }

  /** @param {number} by Columns. */
  slide(by) {
    const { scene } = this.lab.player;
    if (!scene) return;
    const newest = this.newest(scene);
    const right = clamp(this.columns, (this.right ?? newest) + by, newest);
    this.right = right >= newest ? null : right;
    this.redraw();
    this.paint(scene);
  }

  /** @param {Scene} scene The newest column. */
  newest(scene) {
    return Math.max(this.columns, 1 + Math.max(0, ...Object.values(scene.nodes).map((state) => state.log.last)));
  }

  /** @param {Scene} scene */
  paint(scene) {
    const ids = idsOf(scene);
    const decides = scene.decisions.length ? scene.decisions[0].by : 0;
    const leader = ids.find((id) => scene.nodes[id].role === "leader" && id === decides);
    const { first, last } = windowOf(this.right, this.newest(scene), this.columns);
    if (isSame(this.svg, [scene.nodes, scene.decisions, last, this.width, this.lab.store.chunks.size])) return;
    const key = JSON.stringify([
      first,
      leader,
      ids.map((id) => shownOf(scene.nodes[id])),
      leader && scene.nodes[leader].peers,
    ]);
    if (key === this.key) return;
    this.key = key;
    [this.first, this.last] = [first, last];
    this.draw(scene, ids, leader);
  }

  /** @param {Scene} scene @param {number[]} ids @param {number | undefined} leader */
  draw(scene, ids, leader) {
    const room = (this.lab.scene.ring.height - 20) / ids.length;
    this.rowHeight = this.isBeside ? clamp(46, room, 64) : 52;
    const height = 30 + this.rowHeight * ids.length;
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height, "aria-label": logsWords(ids, scene) });
    const rows = ids.map((id, row) => this.row(id, row, scene, leader));
    this.svg.replaceChildren(this.head(), ...rows, this.commitLine(ids, scene, leader, height));
    for (const { where, root } of this.legend) root.classList.toggle("rl-hidden", !this.svg.querySelector(where));
    this.sub.textContent = membershipWords(scene);
    this.earlier.disabled = this.first <= 1;
    this.later.disabled = this.right == null;
    this.slider.classList.toggle("rl-hidden", this.earlier.disabled && this.later.disabled);
  }

  /** @param {number} index The middle of its column. */
  x(index) {
    return 52 + (index - this.first + 0.5) * CELL;
  }

  /** @param {number} index */
  isInside(index) {
    return index >= Math.max(this.first, 1) && index <= this.last;
  }

  head() {
    const labels = [];
    for (let index = Math.max(1, this.first); index <= this.last; index += 1)
      labels.push(s("text", { x: this.x(index), y: 22 }, index));
    if (this.first > 1) labels.push(s("text", { x: 44, y: 22, style: "text-anchor:end" }, `${this.first - 1} before`));
    return s("g", { class: "rl-scale" }, labels);
  }

  /** @param {number} id @param {number} row @param {Scene} scene @param {number | undefined} leader */
  row(id, row, scene, leader) {
    const state = scene.nodes[id];
    const y = 30 + row * this.rowHeight;
    const group = s(
      "g",
      {},
      s("text", { class: `rl-row ${state.up ? "" : "rl-off"}`, x: 0, y: y + 17 }, name(id)),
      this.machine(id, state, y),
    );
    const cells = entriesOf(state.log, Math.max(this.first, 1), this.last);
    for (const [index, term, by] of cells) group.append(this.cell(index, term, by, state, y));
    if (state.incoming) group.append(this.incoming(state.incoming, state.chunk, y));
    else if (state.log.start >= this.first) group.append(this.snapshot(y, state.log.start));
    group.append(...this.joint(state, y));
    const peer = leader && leader !== id && scene.nodes[leader].peers?.find((one) => one.peer === id);
    if (peer) group.append(...this.peerMarks(peer, y));
    return group;
  }

  /** @param {number} id @param {Server} state @param {number} y Equal state machines have equal little pictures. */
  machine(id, state, y) {
    if (!state.digest || !state.up || this.lab.isPlain) return null;
    const words = s("title", {}, `state machine: ${state.holds || "empty"} (${state.digest})`);
    const ground = s("rect", { width: 12, height: 12, fill: "transparent" });
    const x = name(id).length > 2 ? 31 : 24;
    return s("g", { transform: `translate(${x} ${y + 6})` }, words, ground, digestMark(state.digest));
  }

  /** @param {number} index @param {number} term @param {number} by @param {Server} state @param {number} y */
  cell(index, term, by, state, y) {
    const { fill, ink } = this.lab.termColour(term);
    const entry = this.lab.store.book[`${index}.${term}.${by}`];
    const isFirst = this.lab.isPlain && term === 0; // who the servers are: nobody wrote it
    const label = clip(isFirst ? "start" : (entry?.[0] ?? ""));
    const [done, wet] = [index <= state.commit, index > state.stored];
    const x = this.x(index);
    const size = Math.min(8.5, 45 / label.length);
    return s(
      "g",
      { class: `rl-cell ${done ? "rl-done" : ""} ${wet ? "rl-wet" : ""}` },
      s("title", {}, this.cellWords(index, term, entry, state)),
      s("rect", {
        x: x - HALF,
        y,
        width: 2 * HALF,
        height: 32,
        rx: 5,
        style: `fill:${wet ? `color-mix(in srgb, ${fill} 42%, #fff)` : fill}`,
      }),
      s("rect", {
        class: "rl-edge",
        x: x - HALF + 2.2,
        y: y + 2.2,
        width: 2 * HALF - 4.4,
        height: 27.6,
        rx: 3.5,
        style: `stroke:${ink}`,
      }),
      s("text", { class: "rl-n", x, y: y + 16, style: `fill:${ink}` }, isFirst ? "" : term),
      s("text", { class: "rl-l", x, y: y + 27, style: `fill:${ink};font-size:${size}px` }, label),
    );
  }

  /** @param {number} index @param {number} term @param {import("./wire.js").BookEntry | undefined} entry @param {Server} state */
  cellWords(index, term, entry, state) {
    const sets = governs(state.log, this.lab.store.book, index)?.sets;
    const words = [
      `entry ${index}, term ${term}${entry ? `: ${entry[0]}` : ""}`,
      index <= state.commit ? "committed" : "not known to be committed",
      index > state.stored && "not on disk yet",
      sets?.length && `governed by ${sets.map(braces).join(" + ")}`,
    ];
    return words.filter(Boolean).join("; ");
  }

  /** @param {number} y @param {number} last */
  snapshot(y, last) {
    const left = this.x(Math.max(this.first, 1)) - HALF;
    const width = this.x(last) + HALF - left;
    const words = width > 76 ? `snapshot to ${last}` : "snap";
    const box = s("rect", { x: left, y, width, height: 32, rx: 5 });
    return s("g", { class: "rl-snap" }, box, s("text", { x: left + width / 2, y: y + 20 }, words));
  }

  /** @param {import("./wire.js").IncomingSnapshot} incoming @param {number} chunk Bytes. @param {number} y */
  incoming([offset, size, last], chunk, y) {
    const [count, done] = [Math.ceil(size / chunk), Math.floor(offset / chunk)];
    const shown = Math.min(count, BARS);
    const left = this.x(Math.max(this.first, 1)) - HALF;
    const width = Math.max(128, this.x(last) + HALF - left);
    const step = (width - 16) / shown;
    const bars = Array.from({ length: shown }, (_, place) => {
      const isEmpty = place >= Math.round((done / count) * shown);
      const box = { x: left + 8 + place * step, y: y + 19, width: step - 2, height: 8, style: "stroke-width:1" };
      return s("rect", { class: `rl-chunk ${isEmpty ? "rl-empty" : ""}`, ...box });
    });
    const words = s("text", { x: left + width / 2, y: y + 13 }, `snapshot to ${last}: ${done} of ${count}`);
    return s("g", { class: "rl-snap" }, s("rect", { x: left, y, width, height: 32, rx: 5 }), words, bars);
  }

  /** @param {Server} state @param {number} y A double line above entries that are governed by two voter sets. */
  joint(state, y) {
    const lines = [];
    for (let index = Math.max(this.first, 1); index <= Math.min(this.last, state.log.last); index += 1) {
      if ((governs(state.log, this.lab.store.book, index)?.sets.length ?? 0) < 2) continue;
      const x = this.x(index) - CELL / 2;
      lines.push(s("path", { class: "rl-joint", d: `M${x} ${y - 6.5}h${CELL}M${x} ${y - 3.5}h${CELL}` }));
    }
    return lines;
  }

  /** @param {import("./wire.js").PeerProgress} peer @param {number} y */
  peerMarks(peer, y) {
    const below = y + 40;
    const marks = [];
    if (this.isInside(peer.matched))
      marks.push(s("circle", { class: "rl-match", cx: this.x(peer.matched), cy: below, r: 3 }));
    if (this.isInside(peer.next))
      marks.push(s("path", { class: "rl-next", d: `M${this.x(peer.next)} ${below - 4}l4.5 7.5h-9z` }));
    return marks;
  }

  /** @param {number[]} ids @param {Scene} scene @param {number | undefined} leader @param {number} height */
  commitLine(ids, scene, leader, height) {
    const at = leader ? scene.nodes[leader].commit : Math.max(0, ...ids.map((id) => scene.nodes[id].commit));
    if (at === 0 || at < this.first || at > this.last) return s("g");
    const x = this.x(at) + CELL / 2;
    const line = s("line", { class: "rl-commit", x1: x, x2: x, y1: 10, y2: height - 14 });
    const style = "text-anchor:end;font-weight:700;fill:var(--rl-ink)";
    return s("g", { class: "rl-scale" }, line, s("text", { x: x - 3, y: 8, style }, "committed"));
  }
}

/** @param {Server} one What of a server is drawn here. */
const shownOf = (one) => [
  one.log,
  one.commit,
  one.stored,
  one.up,
  one.snapshot,
  one.incoming,
  one.digest,
  one.members.at,
];
