// The inspector: the chosen server or message, or else the event and the rule that decided it.

import { h } from "./dom.js";
import { findFlight, isMember } from "./scenes.js";
import { dedent, name, seconds, withoutSections } from "./tools.js";
import { peerWords, roleWord } from "./words.js";

/** @typedef {import("./scenes.js").Scene} Scene */
/** @typedef {import("./wire.js").ServerDrawing} Server */
/** @typedef {[label: string, value: unknown, keys?: string[]]} Field */

const BACK = 200; // events among which the last one of a server is looked for
const CHAIN = 6; // causes that are told

const light = "font-weight:400";

/** @param {number[] | null} ids */
const names = (ids) => (ids?.length ? ids.map(name).join(" ") : null);

/** @param {Server} state @returns {Field[]} */
function durable(state) {
  const { start, last } = state.log;
  return [
    ["term", state.term, ["term"]],
    ["voted for", state.vote ? name(state.vote) : "nobody", ["vote"]],
    ["log", last > start ? `${start + 1}…${last}` : "empty", ["log"]],
    ["synced to", state.stored, ["stored"]],
    ["snapshot", state.snapshot && `to ${state.snapshot[0]} (${state.snapshot[2]} bytes)`, ["snapshot"]],
  ];
}

/** @param {Server} state @returns {Field[]} */
function volatile(state) {
  return [
    ["role", state.role, ["role"]],
    ["leader", state.leader ? name(state.leader) : "unknown", ["leader"]],
    ["commit", state.commit, ["commit"]],
    ["applied", state.applied, ["applied"]],
    ["machine", state.holds || "empty", ["holds"]],
    ["votes", names(state.granted), ["granted"]],
    ["refused", names(state.refused), ["refused"]],
    ["round", state.round, ["round"]],
    ["lease", state.lease == null ? null : state.lease ? "holds" : "no", ["lease"]],
    ["arriving", state.incoming && `${state.incoming[0]} of ${state.incoming[1]} bytes`, ["incoming"]],
    ["clock", state.rate === 1 ? null : `× ${state.rate}`, ["rate"]],
  ];
}

/** @param {Field[]} fields @param {Set<string>} changed */
function rows(fields, changed) {
  const shown = fields.filter(([, value]) => value != null && value !== "");
  const parts = shown.map(([label, value, keys]) => {
    const look = keys?.some((key) => changed.has(key)) ? "rl-changed" : null;
    return [h("dt", {}, label), h("dd", { class: look }, String(value))];
  });
  return h("dl", { class: "rl-fields" }, parts);
}

/** @param {string} heading @param {...Node} content */
const section = (heading, ...content) => h("div", {}, h("h4", {}, heading), content);

export class InspectorView {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.scrolled = 0;
    const onscroll = () => {
      this.scrolled = this.root.scrollTop;
    };
    this.root = h("aside", { class: "rl-card rl-inspector", "aria-label": "Inspector", tabindex: 0, onscroll });
  }

  /** @param {Scene} scene */
  paint(scene) {
    const kept = this.scrolled; // asking the element would have the whole page laid out
    this.root.replaceChildren(...this.content(scene));
    if (kept) this.root.scrollTop = kept;
  }

  /** @param {Scene} scene @returns {Node[]} */
  content(scene) {
    const { lab } = this;
    const picked = [...lab.picked];
    const flight = lab.message == null ? undefined : findFlight(scene, lab.message);
    if (flight) return this.message(flight);
    if (picked.length === 1 && scene.nodes[picked[0]]) return this.node(picked[0], scene);
    if (picked.length > 1) return [...this.group(picked), ...this.event(lab.player.event, "what just happened")];
    return this.event(lab.player.event);
  }

  /** @param {number} id @param {Scene} scene */
  node(id, scene) {
    const state = scene.nodes[id];
    const changed = new Set(scene.changed[id] ?? []);
    const leads = state.role === "leader" ? ` of term ${state.term}` : "";
    const role = `${roleWord(state, false, isMember(id, scene))}${leads}`;
    const parts = [
      h("h3", {}, `${name(id)} `, h("span", { style: light }, role)),
      section("on disk: survives a crash", rows(durable(state), changed)),
    ];
    if (state.up) parts.push(section("in memory: gone after a crash", rows(volatile(state), changed)));
    const peers = (state.up ? state.peers : null)?.map(
      (one) => /** @type {Field} */ ([name(one.peer), peerWords(one)]),
    );
    if (peers) parts.push(section("what it knows of the others", rows(peers, changed)));
    if (state.halted) parts.push(h("p", {}, state.halted));
    return [...parts, ...this.event(this.lastOf(id), `last at ${name(id)}`)];
  }

  /** @param {number} id The last event at a server, as far as it is at hand. */
  lastOf(id) {
    const { store, player } = this.lab;
    for (let index = player.event; index >= Math.max(0, player.event - BACK); index -= 1) {
      const event = store.knownEvent(player.branch, index);
      if (!event) return -1;
      if (event.node === id) return index;
    }
    return -1;
  }

  /** @param {number[]} ids */
  group(ids) {
    const words = "Chosen together: isolate them, or (if they are two) cut their link.";
    return [h("h3", {}, ids.map(name).join(", ")), h("div", {}, words)];
  }

  /** @param {import("./wire.js").MessageDrawing} flight */
  message(flight) {
    /** @type {Field[]} */
    const fields = [
      ["from", name(flight.src)],
      ["to", name(flight.dst)],
      ["left at", seconds(flight.sent)],
      ["arrives at", flight.due == null ? "under way" : seconds(flight.due)],
      ...flight.says,
      ["copy of", flight.copy && `message ${flight.copy}`],
    ];
    return [
      h("h3", {}, `${flight.glyph}${flight.sign} `, h("span", { style: light }, flight.name)),
      rows(fields, new Set()),
      section("because", this.chain(flight.cause)),
    ];
  }

  /** @param {number} index @param {string} [heading] */
  event(index, heading) {
    const { store, player } = this.lab;
    const event = index >= 0 ? store.event(player.branch, index) : null;
    if (!event) return [];
    const number = this.lab.number(event.id);
    const at = h("span", { style: light }, event.node ? ` at ${name(event.node)}` : "");
    /** @type {Node[]} */
    const parts = heading
      ? [h("h4", {}, `${heading}: event ${number}`), h("div", {}, event.text)]
      : [h("h3", {}, `Event ${number}`, at)];
    const rule = event.rule && store.rules[event.rule];
    if (rule) parts.push(...this.rule(rule, event.ran ?? []));
    if (event.cause != null) parts.push(section("because", this.chain(event.cause)));
    return parts;
  }

  /** @param {import("./wire.js").RuleSource} rule @param {number[]} ran */
  rule(rule, ran) {
    const label = h(
      "div",
      {},
      h("b", {}, rule.label),
      h("span", { class: "rl-paper", style: "color:var(--rl-muted)" }, ` ${rule.section}`),
    );
    return [
      h("div", {}, label, h("div", { class: "rl-sub" }, rule.meaning)),
      section(`decided in ${rule.where}: the marked lines ran`, this.code(rule, ran)),
    ];
  }

  /** @param {import("./wire.js").RuleSource} rule @param {number[]} ran */
  code(rule, ran) {
    const marked = new Set(ran);
    const lines = dedent(rule.lines).map((line, place) => {
      const code = line.trimStart();
      const look = {
        class: marked.has(rule.first + place) ? "rl-ran" : null,
        style: `--rl-deep:${line.length - code.length}`,
      };
      return h("span", look, code || " ");
    });
    return h("pre", { class: "rl-code", tabindex: 0, role: "group", "aria-label": `Source of ${rule.where}` }, lines);
  }

  /** @param {number} cause The events that led here, newest first; each is a way back. */
  chain(cause) {
    const { store, player } = this.lab;
    const items = [];
    for (let index = cause; index >= 0 && items.length < CHAIN;) {
      const event = store.event(player.branch, index);
      const at = index;
      if (!event) break;
      const number = h("small", {}, `${this.lab.number(event.id)} · `);
      const way = { type: "button", title: "go there", onclick: () => player.go(at) };
      items.push(h("li", {}, h("button", way, number, withoutSections(event.text))));
      index = event.cause ?? -1;
    }
    const outside = "caused from outside (by you, or by a timer)";
    return items.length ? h("ul", { class: "rl-chain" }, items) : h("div", { class: "rl-sub" }, outside);
  }
}
