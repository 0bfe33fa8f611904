// Servers on a fixed ring: roles, terms, timers, votes, links and islands.

import { h, part, s, set } from "./dom.js";
import { LANE, arcPath, barPath, islands, ringPlaces, straight } from "./geometry.js";
import { governing, idsOf, isMember, isStill } from "./scenes.js";
import { clamp, isSame, name } from "./tools.js";
import { extraWords, nodeWords, roleWord } from "./words.js";

/** @typedef {import("./scenes.js").Scene} Scene */
/** @typedef {import("./wire.js").ServerDrawing} Server */
/** @typedef {import("./geometry.js").Place} Place */

const INK = "#1F2933";
const ROOM = 0.36; // a server's radius as a share of the way to the next: its timer stands around it
const SMALLEST = 21; // a server's radius, below which it is drawn to scale
const CROWD = 9; // servers, of more than which only names stand around the ring
const TIGHT = 440; // pixels of a Lab or ring below which followers of many have only names, and the ring is as high as wide

export class RingView {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    /** @type {Map<number, SVGElement>} */
    this.nodes = new Map();
    /** @type {Map<number, Place>} */
    this.places = new Map();
    this.width = 0;
    this.height = 0;
    this.radius = 30; // on the ring
    this.drawn = 30; // in a server's own drawing, which is drawn to scale in a crowd
    this.newest = 0;
    this.frames = 0;
    this.ids = this.fitted = this.linkKey = "";
    this.svg = s("svg", { role: "group", "aria-label": "Servers", height: 380, width: "100%" });
    this.islands = s("g");
    this.links = s("g");
    this.rings = s("g");
    this.svg.append(this.islands, this.links, this.rings);
  }

  /** @param {number} width @param {number} high Fit the ring into the room there is. */
  layout(width, high) {
    this.width = clamp(250, width, 620);
    this.height = clamp(256, Math.min(this.width * (this.isTight ? 1 : 0.86), high), 420);
    this.fitted = "";
    set(this.svg, { viewBox: `0 0 ${this.width} ${this.height}`, height: this.height });
  }

  get isTight() {
    return this.lab.layout.width < TIGHT;
  }

  /** @param {number[]} ids */
  arrange(ids) {
    const key = `${ids.join()}|${this.width}`;
    if (this.fitted === key) return;
    this.fitted = key;
    this.drawn = ids.length > 7 ? SMALLEST : ids.length > 5 ? 26 : 30;
    this.radius = Math.min(this.drawn, ROOM * ((Math.PI * (Math.min(this.width, this.height) - 72)) / ids.length));
    const isCrowd = ids.length > CROWD;
    const isTiny = this.radius < 0.6 * SMALLEST;
    const isTight = this.isTight ? ids.length > 5 : ids.length > 7 && this.width < TIGHT;
    set(this.svg, { "data-tight": isTight, "data-crowd": isCrowd, "data-tiny": isTiny });
    this.places = ringPlaces(ids, this.width, this.height, this.radius);
    if (this.ids !== ids.join()) {
      // servers are rebuilt only where others came or went: the focus stays
      this.ids = ids.join();
      this.nodes = new Map(ids.map((id) => [id, this.build(id)]));
      this.rings.replaceChildren(...this.nodes.values());
    }
    for (const [id, node] of this.nodes) {
      const { x, y, angle } = this.place(id);
      set(node, { transform: `translate(${x} ${y})` });
      const scale = { transform: `scale(${this.radius / this.drawn})` };
      for (const inside of node.querySelectorAll(".rl-inside")) set(inside, scale);
      this.arrangeWords(node, angle, isCrowd);
    }
  }

  /** @param {Element} node @param {number} angle @param {boolean} isCrowd In a crowd names stand around the ring. */
  arrangeWords(node, angle, isCrowd) {
    const r = this.radius;
    const above = Math.sin(angle) < -0.05;
    const aside = above && Math.abs(Math.cos(angle)) > 0.3 ? 14 * Math.sign(Math.cos(angle)) : 0; // beside what comes from the top
    const x = isCrowd ? (r + 15) * Math.cos(angle) : aside;
    const y = isCrowd ? (r + 13) * Math.sin(angle) + 3 : above ? -r - 17 : r + 26;
    set(part(node, ".rl-label"), { x, y });
    set(part(node, ".rl-extra"), { x, y: y + (above ? -15 : 14) });
  }

  /** @param {number} id */
  place(id) {
    return this.places.get(id) ?? { x: 0, y: 0, angle: 0 };
  }

  /** @param {number} id */
  build(id) {
    const r = this.drawn;
    const inside = s(
      "g",
      { class: "rl-inside" },
      s("circle", { class: "rl-circle", r: r + 7 }),
      s("path", { class: "rl-left" }),
      s("circle", { class: "rl-picked", r: r + 16 }),
      s("g", { class: "rl-arcs" }),
      s("circle", { class: "rl-ring", r: r + 3.6 }),
      s("circle", { class: "rl-body", r, pathLength: 188 }),
      s("g", { class: "rl-votes" }),
      s("path", { class: "rl-mark" }),
    );
    const term = s(
      "g",
      { class: "rl-inside" }, // after the name: read aloud, the words of a server come in the order of its description
      s("text", { class: "rl-word", y: 16 }, "term"),
      " ",
      s("text", { class: "rl-numeral", y: 4 }),
    );
    const group = s(
      "g",
      { class: "rl-node", tabindex: 0, role: "button", "data-id": id },
      inside,
      s(
        "text",
        { class: "rl-label" },
        s("tspan", { class: "rl-name" }, name(id)),
        " ",
        s("tspan", { class: "rl-role" }),
      ),
      " ",
      s("text", { class: "rl-extra" }),
      " ",
      term,
    );
    group.addEventListener("click", (event) => this.lab.pickNode(id, event.shiftKey || event.ctrlKey || event.metaKey));
    group.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      this.lab.pickNode(id, false);
      this.lab.popups.openMenu(event);
    });
    return group;
  }

  /** @param {Scene} scene */
  paint(scene) {
    const ids = idsOf(scene);
    this.arrange(ids);
    this.newest = Math.max(0, ...ids.map((id) => scene.nodes[id].term));
    for (const id of ids) this.paintNode(id, scene);
    this.paintLinks(ids, scene);
  }

  /** @param {number} id @param {Scene} scene */
  paintNode(id, scene) {
    const state = scene.nodes[id];
    const group = /** @type {SVGElement} */ (this.nodes.get(id));
    const isPicked = this.lab.picked.has(id);
    if (isSame(group, [state, this.newest, governing(scene), isPicked, this.radius])) return;
    const member = isMember(id, scene);
    const stale = state.role === "leader" && state.term < this.newest;
    set(group, {
      "data-role": state.role,
      "data-still": isStill(state),
      "data-stale": stale,
      "data-member": member,
      "aria-pressed": isPicked,
      "aria-label": nodeWords(id, state, scene, stale),
    });
    const size = state.role === "learner" ? this.drawn * 0.74 : this.drawn;
    this.paintBody(group, state, size);
    part(group, ".rl-role").textContent = roleWord(state, stale, member);
    part(group, ".rl-extra").textContent = extraWords(id, state, scene);
    this.paintVotes(part(group, ".rl-votes"), state, size);
    this.paintArcs(part(group, ".rl-arcs"), id, scene);
  }

  /** @param {SVGElement} group @param {Server} state @param {number} size Colour, term, and a cross or bars where it stands still. */
  paintBody(group, state, size) {
    const { fill, ink } = this.lab.termColour(state.term);
    const still = isStill(state);
    const [body, numeral, word] = [".rl-body", ".rl-numeral", ".rl-word"].map((which) => part(group, which));
    set(body, { r: size });
    body.style.fill = fill;
    set(part(group, ".rl-ring"), { r: size + 3.6 });
    numeral.textContent = String(state.term);
    numeral.style.fill = word.style.fill = ink;
    numeral.style.display = still ? "none" : "";
    word.style.display = still || state.granted || state.role === "learner" ? "none" : "";
    set(numeral, { y: state.granted || state.role === "learner" ? 7 : 4 });
    const bars = state.paused ? "M-5 -10V10M5 -10V10" : "";
    set(part(group, ".rl-mark"), { d: state.up ? bars : "M-9 -9 9 9M9 -9 -9 9" });
  }

  /**
   * Votes stand in the candidate as the voters stand on the ring: full = granted, crossed = refused, open = not yet.
   *
   * @param {Element} group @param {Server} state @param {number} size
   */
  paintVotes(group, state, size) {
    if (!state.granted || !state.up) return group.replaceChildren();
    const granted = new Set(state.granted);
    const refused = new Set(state.refused);
    const votes = [...new Set(state.members.sets.flat())].map((voter) => {
      const { angle } = this.place(voter);
      const [x, y] = [(size - 8) * Math.cos(angle), (size - 8) * Math.sin(angle)];
      if (refused.has(voter))
        return s("path", { class: "rl-vote", d: `M${x - 3.4} ${y}h6.8`, "stroke-width": 2.6, stroke: INK });
      const style = `fill:${granted.has(voter) ? INK : "none"};stroke:${INK}`;
      return s("circle", { class: "rl-vote", cx: x, cy: y, r: 3.8, style });
    });
    group.replaceChildren(...votes);
  }

  /**
   * While membership is joint: an inner arc at the left of the old set's members, an outer, dotted one at the right of
   * the new set's.
   *
   * @param {Element} group @param {number} id @param {Scene} scene
   */
  paintArcs(group, id, scene) {
    const sets = governing(scene)?.sets ?? [];
    const arcs = [];
    if (sets.length > 1 && sets[0].includes(id)) arcs.push(this.arc(-1, ""));
    if (sets.length > 1 && sets[sets.length - 1].includes(id)) arcs.push(this.arc(1, "rl-new"));
    group.replaceChildren(...arcs);
  }

  /** @param {number} side @param {string} extra */
  arc(side, extra) {
    const from = 0.62;
    const r = this.drawn + (side < 0 ? 12.5 : 16.5);
    const [x, y] = [side * r * Math.cos(from), r * Math.sin(from)];
    return s("path", { class: `rl-arc ${extra}`, d: `M${x} ${-y}A${r} ${r} 0 0 ${side > 0 ? 1 : 0} ${x} ${y}` });
  }

  /** @param {number[]} ids @param {Scene} scene */
  paintLinks(ids, scene) {
    const cut = new Set(scene.cuts.map(([a, b]) => `${a}>${b}`));
    const key = `${this.ids}|${[...cut].join()}|${this.width}`;
    if (key === this.linkKey) return;
    this.linkKey = key;
    const groups = cut.size ? islands(ids, cut) : [ids];
    const drawn = [];
    for (const a of ids) {
      for (const b of ids.filter((one) => one > a)) {
        const together = groups.some((group) => group.includes(a) && group.includes(b));
        drawn.push(...this.link(a, b, cut, together));
      }
    }
    this.links.replaceChildren(...drawn);
    this.islands.replaceChildren(...(groups.length > 1 ? groups.flatMap((group) => this.shade(group)) : []));
  }

  /**
   * A link: broken where it is cut, with bars unless shading tells it already; one bar on the lane that alone is closed.
   *
   * @param {number} a @param {number} b @param {Set<string>} cut @param {boolean} together
   */
  link(a, b, cut, together) {
    const [from, to] = [this.place(a), this.place(b)];
    const [there, back] = [cut.has(`${a}>${b}`), cut.has(`${b}>${a}`)];
    /** @param {number} start @param {number} end */
    const line = (start, end) => s("path", { class: "rl-link", d: straight(from, to, start, end) });
    /** @param {string} d */
    const bar = (d) => s("path", { class: "rl-cutmark", d });
    if (!there && !back) return [line(0, 1)];
    if (there !== back) return [line(0, 1), bar(there ? barPath(from, to, 0.5, LANE) : barPath(to, from, 0.5, LANE))];
    const bars = together ? [bar(barPath(from, to, 0.42, 0)), bar(barPath(from, to, 0.58, 0))] : [];
    return [line(0, 0.42), line(0.58, 1), ...bars];
  }

  /** @param {number[]} group An island: its servers on common ground, with a shore. */
  shade(group) {
    const points = group.map((id) => this.place(id));
    const lines = points.map(({ x, y }, place) => `${place ? "L" : "M"}${x} ${y}`).join("");
    const d = lines + (points.length === 1 ? "h0.1" : "Z");
    /** @param {string} look @param {number} width */
    const ground = (look, width) =>
      s("path", { class: look, d, "stroke-width": 2 * this.radius * (1 + width / this.drawn) });
    return [ground("rl-shore", 12.5), ground("rl-island", 11)];
  }

  /** @param {Scene} scene What moves here: the timers; while it plays not in every frame. */
  animate(scene) {
    const { playing, time } = this.lab.player;
    this.frames += 1;
    if (playing && this.frames % 4) return;
    for (const [id, group] of this.nodes) if (scene.nodes[id]) this.moveClock(scene.nodes[id], group, time);
  }

  /** @param {Server} state @param {SVGElement} group @param {number} now */
  moveClock(state, group, now) {
    const [track, left] = /** @type {SVGGraphicsElement[]} */ (
      [".rl-circle", ".rl-left"].map((which) => part(group, which))
    );
    const clock = state.up && !state.halted && state.role !== "leader" ? state.clock : null;
    track.style.display = left.style.display = clock ? "" : "none";
    if (!clock) return;
    const r = this.drawn + 7;
    const ends = clock[1] ?? clock[0] + state.longest;
    const longest = Math.max(state.longest, ends - clock[0]);
    const drawn = (ends - clock[0]) / longest;
    const rest = state.paused ? drawn : clamp(0, (ends - now) / longest, 1);
    if (track.dataset.drawn !== String(clock[0])) {
      const round = 2 * Math.PI * r;
      track.dataset.drawn = String(clock[0]);
      set(track, { "stroke-dasharray": `${round * drawn} ${round}`, transform: "rotate(-90)" });
      group.classList.remove("rl-drawn");
      void track.getBBox; // the animation begins again
      group.classList.add("rl-drawn");
    }
    left.setAttribute("d", arcPath(r, rest));
  }
}

/** @param {string} label A drawn sample of one voter set's arc. @param {boolean} isNew */
export const arcSample = (label, isNew) => [
  s(
    "svg",
    { width: 26, height: 8, "aria-hidden": "true" },
    s("path", { class: `rl-arc ${isNew ? "rl-new" : ""}`, d: "M2 4H24" }),
  ),
  h("span", {}, label),
];
