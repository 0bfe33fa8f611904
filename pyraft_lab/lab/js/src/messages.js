// Messages on their lanes, those that are held, and those that are lost.

import { s, set } from "./dom.js";
import { lane, progress } from "./geometry.js";
import { messageMark } from "./marks.js";
import { heldQueues } from "./scenes.js";
import { clamp } from "./tools.js";
import { messageLabel, messageWords } from "./words.js";

/** @typedef {import("./scenes.js").Scene} Scene */
/** @typedef {import("./wire.js").MessageDrawing} Message */

const QUEUE = 4; // how many held messages of one lane are drawn

export class MessagesView {
  /** @param {import("./lab.js").Lab} lab @param {import("./ring.js").RingView} ring */
  constructor(lab, ring) {
    this.lab = lab;
    this.ring = ring;
    /** @type {Map<number, SVGGElement>} */
    this.marks = new Map();
    /** @type {WeakMap<SVGGElement, string>} */
    this.dressed = new WeakMap();
    this.flights = s("g");
    this.fallen = s("g");
    // a layer of its own: what stands still is not painted again
    this.svg = s("svg", { class: "rl-over", role: "group", "aria-label": "Messages under way", width: "100%" });
    this.svg.append(this.fallen, this.flights);
  }

  layout() {
    const { width, height } = this.ring;
    set(this.svg, { viewBox: `0 0 ${width} ${height}`, height });
  }

  /** @param {Scene} scene */
  animate(scene) {
    this.moveMessages(scene, this.lab.player.time);
    this.moveFallen(scene, this.lab.player.time);
  }

  /** @param {Scene} scene @param {number} now */
  moveMessages(scene, now) {
    const seen = new Set();
    const queues = heldQueues(scene, this.lab.held);
    for (const flight of scene.flying.values()) {
      const queue = queues.get(`${flight.src}>${flight.dst}`) ?? [];
      if (this.move(flight, queue, now)) seen.add(flight.id);
    }
    for (const [id, mark] of this.marks) {
      if (seen.has(id)) continue;
      mark.remove();
      this.marks.delete(id);
    }
  }

  /** @param {Message} flight @param {number[]} queue What is held of its lane. @param {number} now */
  move(flight, queue, now) {
    const { places, radius } = this.ring;
    const [from, to] = [places.get(flight.src), places.get(flight.dst)];
    const turn = queue.indexOf(flight.id);
    const isPicked = this.lab.message === flight.id;
    if (!from || !to || (turn >= QUEUE && !isPicked)) return false;
    const isHeld = turn >= 0;
    const part = isHeld ? 0.74 - 0.17 * Math.min(turn, QUEUE) : progress(flight, now, this.lab.store.header.flight);
    const { x, y } = lane(from, to, this.lab.player.calm && !isHeld ? 0.5 : part, radius);
    const mark = this.marks.get(flight.id) ?? this.build(flight);
    set(mark, { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    const more = turn === QUEUE - 1 && queue.length > QUEUE ? `+${queue.length - QUEUE}` : "";
    this.dress(mark, isPicked, turn === 0 ? "‖" : more);
    return true;
  }

  /** @param {Message} flight Where it stands still for those who want no motion, an arrow says where it goes. */
  arrow(flight) {
    if (!this.lab.player.calm) return null;
    const [from, to] = [this.ring.place(flight.src), this.ring.place(flight.dst)];
    const angle = (Math.atan2(to.y - from.y, to.x - from.x) * 180) / Math.PI;
    return s("path", { class: "rl-arrow", d: "M14 -5l9 5-9 5z", transform: `rotate(${angle})` });
  }

  /**
   * What changes of a message's mark while it is under way; only what did change is touched.
   *
   * @param {SVGGElement} mark @param {boolean} isPicked @param {string} held
   */
  dress(mark, isPicked, held) {
    const now = `${isPicked}${held}`;
    if (this.dressed.get(mark) === now) return;
    this.dressed.set(mark, now);
    set(mark, { "aria-pressed": isPicked });
    if (mark.lastChild) mark.lastChild.textContent = held;
  }

  /** @param {Message} flight */
  build(flight) {
    const words = messageWords(flight);
    const mark = s(
      "g",
      {
        class: "rl-message",
        role: "button",
        tabindex: -1,
        "aria-label": `${words} ${messageLabel(flight, this.lab.isPlain)}`,
      },
      s("title", {}, words),
      " ",
      s("circle", { class: "rl-reach", r: 16 }),
      messageMark(flight, this.lab.isPlain),
      this.arrow(flight),
      s("text", { class: "rl-held", y: -13 }),
    );
    mark.addEventListener("click", () => this.lab.pickMessage(flight.id));
    mark.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      this.lab.pickMessage(flight.id);
      this.lab.popups.openMenu(event);
    });
    this.marks.set(flight.id, mark);
    this.flights.append(mark);
    return mark;
  }

  /** @param {Scene} scene @param {number} now Messages that will never arrive stop where they were lost, with a cross. */
  moveFallen(scene, now) {
    const words = new Set(); // each word once, at the newest: many would cover the scene
    const marks = [];
    for (const one of scene.fallen.toReversed()) {
      const isNew = !words.has(one.why);
      const mark = this.lost(one, now, isNew);
      if (mark?.classList.contains("rl-lost")) words.add(one.why);
      if (mark) marks.push(mark);
    }
    if (marks.length || this.fallen.firstChild) this.fallen.replaceChildren(...marks);
  }

  /** @param {import("./scenes.js").Fallen} one @param {number} now @param {boolean} isNew */
  lost(one, now, isNew) {
    const { places, radius } = this.ring;
    const [from, to] = [places.get(one.flight.src), places.get(one.flight.dst)];
    if (!from || !to) return null;
    const end = this.endOf(one);
    const part = one.flies ? Math.min(end, (now - one.flight.sent) / this.lab.store.header.flight) : end;
    const { x, y } = lane(from, to, part, radius);
    const transform = `translate(${x} ${y})`;
    if (part < end) return s("g", { transform }, messageMark(one.flight, this.lab.isPlain));
    const word = isNew && s("text", { y: 19 }, one.why);
    return s("g", { class: "rl-lost", transform }, s("path", { d: "M-6 -6 6 6M6 -6 -6 6" }), word);
  }

  /** @param {import("./scenes.js").Fallen} one The part of its way that it came. */
  endOf({ flight, flies, why, time }) {
    if (flies) return 0.55;
    const due = flight.due ?? flight.sent + this.lab.store.header.flight;
    const isStopped = why === "dropped" || why === "link cut";
    return isStopped ? clamp(0.1, (time - flight.sent) / (due - flight.sent), 0.9) : 0.96;
  }
}
