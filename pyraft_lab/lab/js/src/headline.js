// What the cluster is deciding, in words and as chips; and the chosen, or what the messages under way say.

import { h } from "./dom.js";
import { MessagesView } from "./messages.js";
import { messageIcon } from "./marks.js";
import { RingView, arcSample } from "./ring.js";
import { findFlight } from "./scenes.js";
import { isSame, name } from "./tools.js";
import { asFirstTold, chipWord, messageSays, rivals, talliesOf, tallyWords, waitingWords } from "./words.js";

/** @typedef {import("./scenes.js").Scene} Scene */
/** @typedef {import("./wire.js").Decision} Decision */
/** @typedef {import("./wire.js").Tally} Tally */

const REST = 600; // pixels of a window that the rest of the Lab and of JupyterLab need: the whole Lab fits into it
const REST_ALONE = 560;

export class SceneView {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.ring = new RingView(lab);
    this.messages = new MessagesView(lab, this.ring);
    this.handKey = "";
    this.title = h("h3");
    this.sub = h("div", { class: "rl-sub" });
    this.tally = h("div", { class: "rl-tally" });
    this.hand = h("div", { class: "rl-hand" });
    this.fill = h("div", { class: "rl-fill" }, this.ring.svg, this.messages.svg);
    this.root = h("div", { class: "rl-card rl-scene" }, this.title, this.sub, this.fill, this.tally, this.hand);
  }

  /** @param {boolean} isAlone Nothing beside it and below it. */
  layout(isAlone) {
    const rest = isAlone ? REST_ALONE : REST;
    this.ring.layout(this.fill.clientWidth, innerHeight - rest);
    this.messages.layout();
  }

  /** @param {Scene} scene */
  paint(scene) {
    this.ring.paint(scene);
    this.paintDecision(scene);
    this.animate(scene);
  }

  /** @param {Scene} scene */
  animate(scene) {
    this.messages.animate(scene);
    this.ring.animate(scene);
  }

  /** @param {Scene} scene */
  paintDecision(scene) {
    const found = this.lab.isPlain ? scene.decisions.map(asFirstTold) : scene.decisions;
    const first = found.length ? found[0] : undefined;
    const elected = first && this.lab.player.timeline.terms[`${first.term}.${first.by}`];
    if (isSame(this.tally, [scene.decisions, elected, !first && waitingWords(scene)])) return;
    this.title.replaceChildren(...titleOf(found, elected));
    const line = first?.line ?? waitingWords(scene);
    this.sub.textContent = found.length > 1 ? line.replace(/^it /, "each ") : line;
    const rows = found.flatMap((one) => talliesOf(one, elected).map((tally, place) => ({ one, tally, place })));
    const many = found.length > 1;
    this.tally.replaceChildren(
      ...rows.slice(0, 4).map(({ one, tally, place }) => this.tallied(one, tally, place, many)),
    );
  }

  /**
   * One voter set as chips: who of it agrees, who refuses, and whether that is enough.
   *
   * @param {Decision} decision @param {Tally} tally @param {number} place @param {boolean} isOneOfMany
   */
  tallied(decision, tally, place, isOneOfMany) {
    const isWhole = tally.name === "voters";
    const { isPlain } = this.lab;
    const stored = isPlain ? "stored by" : "on disk";
    const what = isWhole && decision.what === "commit" ? stored : isWhole && isPlain ? "votes" : tally.name;
    const label = [isOneOfMany && name(decision.by), !(isWhole && isOneOfMany) && what].filter(Boolean).join(" ");
    const chips = tally.of.map((id) => {
      const [yes, no] = [tally.yes.includes(id), tally.no.includes(id)];
      const look = yes ? "rl-yes" : no ? "rl-no" : "";
      const words = `${name(id)} ${chipWord(decision.what, yes, no)}`;
      return h("span", { class: `rl-chip ${look}`, role: "img", "aria-label": words }, name(id));
    });
    const set = h("span", { class: "rl-set" }, isWhole ? label : arcSample(label, place > 0));
    return h("div", {}, set, chips, h("span", { class: "rl-count" }, tallyWords(decision.what, tally)));
  }

  /** @param {Scene} scene What can be done to the chosen; while nothing is chosen, what the messages under way say. */
  paintHand(scene) {
    const { lab } = this;
    const actions = lab.chosenActions();
    const flight = lab.message == null ? undefined : findFlight(scene, lab.message);
    const way = flight && `${flight.glyph}${flight.sign} ${name(flight.src)} → ${name(flight.dst)}`;
    const chosen = way ?? [...lab.picked].map(name).join(", ");
    const { closed, frozen, held } = lab.store.gate;
    const about = chosen ? [chosen, actions] : [...scene.flying.keys()];
    const key = JSON.stringify([about, held.length, closed, frozen]);
    if (key === this.handKey) return;
    this.handKey = key;
    const rest = chosen ? [h("b", {}, chosen), lab.popups.buttons(actions)] : this.underWay(scene);
    this.hand.replaceChildren(...this.held(), ...rest);
  }

  /** While messages are held: how many, and that timers may be frozen too, for nobody hears a leader meanwhile. */
  held() {
    const { lab } = this;
    const { closed, frozen, held } = lab.store.gate;
    if (!lab.isLive || !closed) return [];
    const count = held.length
      ? `${held.length} held: choose one (n), deliver it (o) or drop it (d)`
      : "every message is held from now on";
    const freeze = !frozen && lab.can("freeze");
    const offer = h(
      "button",
      { class: "rl-button", type: "button", onclick: () => lab.toggle("freeze") },
      "Freeze the timers too",
    );
    const why = h("span", {}, "the timers go on: without heartbeats, servers ask for votes again and again");
    return [h("b", {}, count), ...(freeze ? [offer, why] : [])];
  }

  /** @param {Scene} scene Each kind of message once, with how many there are of it. */
  underWay(scene) {
    /** @type {Map<string, import("./wire.js").MessageDrawing[]>} */
    const kinds = new Map();
    for (const flight of scene.flying.values()) {
      const kind = `${flight.kind}${flight.sign}`;
      kinds.set(kind, [...(kinds.get(kind) ?? []), flight]);
    }
    return [...kinds.values()].slice(0, 4).map((flights) => {
      const count = flights.length > 1 ? ` (${flights.length})` : "";
      const { isPlain } = this.lab;
      const says = `${messageSays(flights[0], isPlain)}${count}`;
      return h("span", { class: "rl-under" }, messageIcon(flights[0], isPlain), says);
    });
  }
}

/** @param {Decision[]} found @param {import("./wire.js").ElectedBy | undefined} elected The headline, and who voted for the leader. */
function titleOf(found, elected) {
  if (!found.length) return ["Nobody leads"];
  const [{ what, title, sets }] = found;
  const leads = what === "leads" || (what === "commit" && sets.length === 1);
  const by =
    elected && leads ? [h("span", { class: "rl-why" }, ` elected by ${elected.yes.map(name).join(", ")}`)] : [];
  return [found.length > 1 ? rivals(found) : title, ...by];
}
