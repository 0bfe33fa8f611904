// The tape: bands of leadership, marks, branches as further tracks, and the playhead.

import { h, s, set } from "./dom.js";
import { OTHER_SHAPE, SHAPES, SOUGHT, layTicks, nextMark, seenTime, timeWindow } from "./ticks.js";
import { clamp, name, seconds } from "./tools.js";

/** @typedef {import("./wire.js").Timeline} Timeline */

export class TimelineView {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    /** @type {number | null} Seconds that are in sight; null: all. */
    this.span = null;
    this.width = 0;
    this.key = "";
    this.drawnLeft = 0;
    this.svg = s("svg", { width: "100%", role: "slider", tabindex: 0, "aria-label": "Tape: the moment that is shown" });
    const kinds = Object.keys(SOUGHT).map((kind) => h("option", { value: kind }, kind));
    this.sought = h("select", { "aria-label": "What to jump to" }, kinds);
    this.playhead = h("div", { class: "rl-head" });
    /** @param {string} label @param {() => void} onclick @param {string} [words] */
    const button = (label, onclick, words) =>
      h("button", { class: "rl-button", type: "button", "aria-label": words, onclick }, label);
    this.heading = h(
      "div",
      { class: "rl-tape-head" },
      h("h3", {}, "Tape"),
      button("‹ previous", () => this.jump(-1)),
      this.sought,
      button("next ›", () => this.jump(1)),
      button("+", () => this.zoom(0.5), "Zoom in"),
      button("−", () => this.zoom(2), "Zoom out"),
    );
    this.root = h("div", { class: "rl-tape" }, this.heading, h("div", { class: "rl-track" }, this.svg, this.playhead));
    this.listen();
  }

  listen() {
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      this.scrub(event);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (event.buttons) this.scrub(event);
    });
    const wheel = (/** @type {WheelEvent} */ event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8);
    };
    this.svg.addEventListener("wheel", wheel, { passive: false });
  }

  /** @param {number} width */
  layout(width) {
    this.width = Math.max(280, width);
    this.key = "";
  }

  get window() {
    const { start, time } = this.lab.player;
    return timeWindow(start, this.seenEnd(), this.span, time);
  }

  seenEnd() {
    const ends = [...this.lab.store.timelines.values()].map((one) => seenTime(one) ?? 0);
    return Math.max(...ends, this.lab.player.time);
  }

  /** @param {number} by */
  zoom(by) {
    const [left, right] = this.window;
    this.span = (right - left) * by;
    if (this.span >= this.seenEnd() - this.lab.player.start) this.span = null;
    this.key = "";
    this.paint();
  }

  /** @param {number} time */
  x(time) {
    const [left, right] = this.window;
    return 2 + ((time - left) / (right - left)) * (this.width - 4);
  }

  /** @param {PointerEvent} event */
  scrub(event) {
    const box = this.svg.getBoundingClientRect();
    const [left, right] = this.window;
    const { player } = this.lab;
    const time = left + ((event.clientX - box.left - 2) / (this.width - 4)) * (right - left);
    player.seek(Math.min(time, seenTime(player.timeline) ?? time));
  }

  /** @param {number} by */
  jump(by) {
    const { player } = this.lab;
    const found = nextMark(player.timeline, player.event, by, this.sought.value);
    if (found) player.go(found[0]);
    else this.lab.say(`no ${by > 0 ? "later" : "earlier"} ${this.sought.value} on this tape`);
  }

  paint() {
    const { store, player } = this.lab;
    const { timeline } = player;
    const [left, right] = this.window;
    const key = [player.branch, timeline.version, timeline.seen, left, right, this.width, store.timelines.size].join();
    if (key !== this.key) {
      this.key = key;
      this.draw(timeline, left, right);
    }
    this.animate();
    set(this.svg, {
      "aria-valuemin": 0,
      "aria-valuemax": timeline.seen,
      "aria-valuenow": player.event,
      "aria-valuetext": `event ${this.lab.number(player.event)}, ${seconds(player.time)}`,
    });
  }

  /** @param {Timeline} timeline @param {number} left @param {number} right */
  draw(timeline, left, right) {
    const bands = timeline.bands.filter((band) => band[0] <= timeline.seen);
    const end = Math.max(seenTime(timeline) ?? right, this.lab.player.time);
    const drawn = bands.map((band, place) => this.band(band, bands[place + 1]?.[1] ?? end));
    const ticks = this.ticks(
      timeline.marks.filter((mark) => mark[0] <= timeline.seen && mark[1] >= left && mark[1] <= right),
    );
    const tracks = this.lab.store.timelines.size > 1 ? this.tracks() : [];
    const height = 74 + (tracks.length ? 8 + 17 * tracks.length : 0);
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height });
    const words = `◂ ${timeline.gone} earlier events have left this tape`;
    const gone =
      timeline.gone && left <= this.lab.player.start ? [s("text", { class: "rl-gone", x: 2, y: 9 }, words)] : [];
    this.svg.replaceChildren(...drawn, ...ticks, ...tracks, ...gone);
  }

  /** @param {import("./wire.js").Band} band @param {number} end */
  band([, time, term, leader], end) {
    const { fill, ink } = this.lab.termColour(term);
    const x = Math.max(this.x(time), 2);
    const width = Math.max(0, Math.min(this.x(end), this.width - 2) - x);
    if (width <= 0.5) return s("g");
    const words = leader ? `term ${term}: ${name(leader)} leads` : "nobody leads";
    const isWide = width > 7 * words.length;
    const label = isWide ? words : width > 16 && leader ? term : "";
    return s(
      "g",
      { class: "rl-band" },
      s("title", {}, words),
      s("rect", { x, y: 12, width, height: 26, rx: 2, fill, opacity: 0.92 }),
      s("text", { x: x + (isWide ? 8 : 4), y: 29, style: `fill:${ink}` }, label),
    );
  }

  /** @param {import("./wire.js").Mark[]} marks */
  ticks(marks) {
    return layTicks(marks, (time) => this.x(time), this.width).map(({ mark, x, label }) => {
      const [event, , kind, , words] = mark;
      const [tag, shape] = SHAPES[kind] ?? OTHER_SHAPE;
      const title = s("title", {}, `${words}, event ${this.lab.number(event)}`);
      const text = label == null ? null : s("text", { x: label, y: 68 }, words);
      return s("g", { class: "rl-tick" }, title, s("g", { transform: `translate(${x} 49)` }, s(tag, shape)), text);
    });
  }

  tracks() {
    return [...this.lab.store.timelines.values()].map((one, row) => this.track(one, 82 + row * 17));
  }

  /** @param {Timeline} one @param {number} y A branch: a bar from where it began to what was seen of it. */
  track(one, y) {
    const here = one.name === this.lab.player.branch;
    const start = one.parent ? (one.times[one.at] ?? 0) : 0;
    const x = clamp(2, this.x(start), this.width - 8);
    const width = Math.max(6, clamp(2, this.x(seenTime(one) ?? start), this.width - 2) - x);
    const label = one.why ? `${one.name}: ${one.why}` : one.name;
    const inside = x > 8 + label.length * 6;
    const open = () => this.lab.openBranch(one.name);
    const handlers = {
      onclick: open,
      onpointerdown: (/** @type {Event} */ event) => event.stopPropagation(),
      onkeydown: (/** @type {KeyboardEvent} */ event) => {
        if (event.key === "Enter") open();
      },
    };
    const style = `text-anchor:${inside ? "end" : "start"};${here ? "font-weight:700;fill:var(--rl-ink)" : ""}`;
    return s(
      "g",
      { class: "rl-branch", role: "button", tabindex: 0, "aria-label": `branch ${label}`, ...handlers },
      one.parent ? s("path", { class: "rl-branch-join", d: `M${x} 40V${y - 4}` }) : null,
      s("rect", { class: `rl-branch-bar ${here ? "rl-here" : ""}`, x, y: y - 3, width, height: 6, rx: 3 }),
      s("text", { class: "rl-branch-name", x: inside ? x - 6 : x + 4, y: inside ? y + 4 : y + 12, style }, label),
    );
  }

  animate() {
    if (this.span != null) {
      const [left, right] = this.window;
      if (this.drawnLeft !== left) {
        this.drawnLeft = left;
        this.key = "";
        this.draw(this.lab.player.timeline, left, right);
      }
    }
    this.playhead.style.transform = `translateX(${this.x(this.lab.player.time).toFixed(1)}px)`;
  }
}
