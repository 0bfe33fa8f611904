// The Lab itself: what is known, where we are, what is chosen; the views around it; and what comes from the other side.

import {
  FIRST,
  clusterActions,
  freezeAction,
  groupActions,
  holdAction,
  messageActions,
  serverActions,
} from "./actions.js";
import { Controls, hints } from "./controls.js";
import { h, keepKeys } from "./dom.js";
import { SceneView } from "./headline.js";
import { InspectorView } from "./inspector.js";
import { onKey } from "./keyboard.js";
import { LogsView } from "./logs.js";
import { Layout } from "./layout.js";
import { Orders } from "./orders.js";
import { Player } from "./player.js";
import { Popups } from "./popups.js";
import { findFlight } from "./scenes.js";
import { startWhenSeen } from "./start.js";
import { Store } from "./store.js";
import { StoryView } from "./story.js";
import { TimelineView } from "./timeline.js";
import { termColour } from "./tools.js";

/** @typedef {import("./wire.js").LiveOrder} Order */
/** @typedef {import("./wire.js").Update} Update */
/** @typedef {import("./scenes.js").Scene} Scene */

const STAYS = 20000; // milliseconds after which a live cluster's session hears that somebody still looks
const DRAWN = 200; // milliseconds between two drawings of what nobody can read while it moves

export class Lab {
  /** @param {HTMLElement} root @param {import("./store.js").Link} link */
  constructor(root, link) {
    this.link = link;
    /** @type {Set<number>} */
    this.picked = new Set();
    /** @type {number | null} The message that is chosen. */
    this.message = null;
    this.drawn = this.due = 0;
    this.isInTrouble = false; // with the other side
    this.store = new Store(link);
    /** Whether this is the plain first view. */
    this.isPlain = this.store.header.opening.view === "ring";
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const listeners = { paint: () => this.paint(), animate: () => this.animate() };
    this.player = new Player(this.store, listeners, calm);
    this.orders = new Orders(this.player, link);
    this.popups = new Popups(this);
    this.scene = new SceneView(this);
    this.logs = new LogsView(this);
    this.inspector = new InspectorView(this);
    this.timeline = new TimelineView(this);
    this.controls = new Controls(this);
    const { branches, quiet, where } = this.controls;
    this.timeline.heading.append(branches, quiet, h("span", { class: "rl-space" }), where); // the bar has no room for what comes and goes
    this.layout = new Layout(this);
    this.story = new StoryView(this.store.header.opening, calm);
    this.stage = h(
      "div",
      { class: "rl-stage" },
      this.scene.root,
      this.logs.root,
      this.story.root,
      this.timeline.root,
      this.inspector.root,
    );
    this.hints = hints(this.can("menu"));
    this.hints.classList.toggle("rl-hidden", this.isPlain);
    this.root = h(
      "section",
      {
        class: "raftlab",
        "data-view": this.isPlain ? "ring" : "full",
        role: "region",
        "aria-label": `Raft lab, ${this.store.header.title}`,
        tabindex: -1,
      },
      this.controls.root,
      this.stage,
      this.hints,
    );
    this.controls.fillBranches();
    this.watcher = new ResizeObserver(() => this.layout.fit());
    this.wake = () => {
      if (!document.hidden && this.isLive) link.send({ do: "hello" });
    };
    this.stays = setInterval(() => {
      if (!document.hidden && this.isLive) this.player.report();
    }, STAYS);
    this.begin(root);
  }

  /** @param {HTMLElement} root */
  begin(root) {
    keepKeys(this.root);
    this.root.addEventListener("keydown", (event) => this.guard(() => onKey(this, event)));
    this.root.addEventListener("pointerdown", (event) => {
      if (!this.popups.pop?.contains(/** @type {Node} */ (event.target))) this.popups.close();
    });
    this.link.listen((message) => this.guard(() => this.take(message)));
    root.append(this.root);
    this.watcher.observe(this.stage);
    this.unwatch = startWhenSeen(this.scene.root, this.player, () => this.guard(() => this.player.begin()));
    document.addEventListener("visibilitychange", this.wake);
    this.layout.fit();
    this.link.send({ do: "hello" });
  }

  close() {
    this.unwatch?.();
    this.player.stop();
    cancelAnimationFrame(this.player.frame);
    cancelAnimationFrame(this.due);
    this.watcher.disconnect();
    document.removeEventListener("visibilitychange", this.wake);
    clearInterval(this.stays);
    this.story.close();
    if (this.isLive) this.link.send({ do: "bye" });
    this.root.remove();
  }

  get isLive() {
    return Boolean(this.store.header.live);
  }

  // What comes from the other side

  /** @param {() => void} act Whatever goes wrong in the drawing is shown in it. */
  guard(act) {
    try {
      act();
    } catch (error) {
      this.fail(`the drawing failed: ${error instanceof Error ? error.message : error}`);
      console.error(error);
    }
  }

  /** @param {Update} message */
  take(message) {
    if (message.type === "chunk") this.store.takeChunk(message.branch, message.chunk);
    else if (message.type === "timeline") this.grow(message.timeline);
    else if (message.type === "header") this.rebuild(message.header);
    else if (message.type === "gate") this.takeGate(message);
    else if (message.type === "go") return this.arrive(message);
    else if (message.type === "error") return this.fail(message.text);
    this.player.resume();
    this.soon();
  }

  /** Paint before the next frame: once, however much arrives. */
  soon() {
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      this.guard(() => this.paint());
    });
  }

  /** @param {import("./wire.js").Timeline} news */
  grow(news) {
    const { player, store } = this;
    const old = store.timelines.get(news.name);
    const stands = !player.playing && player.goal == null && player.event >= (old?.seen ?? 0);
    const earlier = news.gone - (old?.gone ?? 0);
    if (!store.grow(news)) return this.link.send({ do: "hello" });
    if (old && earlier > 0) player.event = Math.max(0, player.event - earlier);
    this.controls.fillBranches();
    if (player.event > player.last) player.go(player.last);
    else if (this.isLive && stands)
      player.follow(player.timeline.seen); // at the end of what grows by itself
    else if (this.isLive) player.report(); // somebody still looks
  }

  /** @param {import("./store.js").Store["gate"]} gate */
  takeGate(gate) {
    this.store.gate = gate;
    this.controls.showGate(gate);
  }

  /** @param {import("./wire.js").Header} header */
  rebuild(header) {
    this.store.header = { ...this.store.header, ...header };
    if (header.gate) this.takeGate(header.gate);
    for (const timeline of header.timelines) this.store.takeTimeline(timeline);
    this.controls.fillBranches();
    if (header.live) this.player.go(this.player.last);
    if (header.over) this.retire();
  }

  /** A live cluster has ended: what can no longer be done is no longer offered. */
  retire() {
    this.controls.retire();
    this.popups.close();
    const left = hints(this.can("menu"));
    left.classList.toggle("rl-hidden", this.isPlain);
    this.hints.replaceWith(left);
    this.hints = left;
    this.tellOf(null);
    this.paint();
  }

  /** @param {string | null} trouble How it stands with the other side, while there is something to say of it. */
  tellOf(trouble) {
    this.isInTrouble = trouble != null;
    this.story.note(trouble ?? this.store.header.over ?? "");
  }

  /** @param {string} remark Why nothing happened. */
  say(remark) {
    this.story.say(remark);
  }

  /** @param {import("./wire.js").Go} went An order was carried out: show what it brought about, then give the next. */
  arrive({ event, branch }) {
    this.player.go(event, branch);
    this.controls.fillBranches();
    const active = document.activeElement;
    if (!active || active === document.body) this.root.focus({ preventScroll: true });
    this.orders.next();
  }

  /** @param {string} text */
  fail(text) {
    this.orders.clear();
    this.story.fail(text);
  }

  // Drawing

  paint() {
    const { scene } = this.player;
    if (scene) this.keepFocus(() => this.paintAll(scene));
    this.animate();
  }

  /** @param {Scene} scene */
  paintAll(scene) {
    this.scene.paint(scene);
    this.logs.paint(scene);
    if (!this.isTimely()) return;
    this.scene.paintHand(scene);
    this.timeline.paint();
    this.inspector.paint(scene);
    this.tell();
    this.controls.showPlace();
  }

  /** Whether to draw what nobody can read while it moves: some times a second are enough. */
  isTimely() {
    const now = performance.now();
    if (this.player.playing && now - this.drawn < DRAWN) return false;
    this.drawn = now;
    return true;
  }

  /** @param {() => void} draw Where that takes away what had the focus, its successor gets it, or else the Lab: no key is lost. */
  keepFocus(draw) {
    const active = this.root.contains(document.activeElement) ? document.activeElement : null;
    draw();
    if (!active || this.root.contains(active)) return;
    const id = Number(active.getAttribute("data-id"));
    (this.scene.ring.nodes.get(id) ?? this.root).focus({ preventScroll: true });
  }

  animate() {
    const { scene } = this.player;
    if (scene) this.keepFocus(() => this.scene.animate(scene));
    this.timeline.animate();
    this.controls.refresh();
  }

  /** @param {number} event Its number since the beginning, even where the oldest are no longer on the tape. */
  number(event) {
    return event + this.player.timeline.gone;
  }

  /** The story line: what just happened, in words. */
  tell() {
    const event = this.store.event(this.player.branch, this.player.event);
    if (event) this.story.tell(event, this.player.playing);
    this.story.ask(this.player.until == null && this.player.branch === "main");
  }

  /** @param {number} term */
  termColour(term) {
    return termColour(this.store.header.colours, term);
  }

  /** @param {string} branch */
  openBranch(branch) {
    const timeline = this.store.timelines.get(branch);
    if (timeline) this.player.go(Math.min(timeline.seen, timeline.count - 1), branch);
    this.controls.fillBranches();
  }

  // Choosing

  /** Whether the newest moment is shown: what is held is known of that alone. */
  get isNewest() {
    return this.player.event >= this.player.timeline.seen;
  }

  /** @param {number} id */
  isHeld(id) {
    return this.held.includes(id);
  }

  get held() {
    return this.isLive && this.isNewest ? this.store.gate.held : [];
  }

  /** @param {number} id @param {boolean} more Beside those that are chosen. */
  pickNode(id, more) {
    const had = this.picked.has(id);
    if (!more) this.picked.clear();
    if (had) this.picked.delete(id);
    else this.picked.add(id);
    this.message = null;
    this.paint();
  }

  /** @param {number} id @param {boolean} more */
  pickNumber(id, more) {
    if (!this.player.scene?.nodes[id]) return this.say(`there is no server n${id} to choose`);
    this.pickNode(id, more);
    this.scene.ring.nodes.get(id)?.focus({ preventScroll: true });
  }

  /** @param {number} id */
  pickMessage(id) {
    this.picked.clear();
    this.message = this.message === id ? null : id;
    this.paint();
  }

  /** The next message; one that is held, if there are any. */
  pickNext() {
    const known = [...(this.player.scene?.flying.keys() ?? [])];
    const held = known.filter((id) => this.isHeld(id));
    const flying = held.length ? held : known;
    if (!flying.length) return this.say("no message is under way at this moment: step to one, then press n");
    const at = this.message == null ? -1 : flying.indexOf(this.message);
    this.pickMessage(flying[(at + 1) % flying.length]);
  }

  /** Close what is open, or else choose nothing. */
  escape() {
    if (this.popups.pop) return this.popups.leave();
    this.picked.clear();
    this.message = null;
    this.paint();
  }

  // Acting

  /** @param {string} verb */
  can(verb) {
    const { can } = this.store.header;
    if (!this.link.live) return false;
    if (verb === "menu") return can.length > 0;
    return can.includes(verb) && (!this.isPlain || FIRST.has(verb));
  }

  /** @param {import("./controls.js").Switch} verb */
  toggle(verb) {
    const can = (/** @type {string} */ one) => this.can(one);
    const found = verb === "hold" ? holdAction(this.store.gate, can) : freezeAction(this.store.gate, can);
    if (found?.order) this.act(found.order);
  }

  chosenActions() {
    const can = (/** @type {string} */ verb) => this.can(verb);
    const { scene } = this.player;
    const picked = [...this.picked];
    if (!scene) return [];
    const flight = this.message == null ? undefined : findFlight(scene, this.message);
    if (flight) {
      const isOpen = scene.flying.has(flight.id) && (!this.isLive || this.isHeld(flight.id));
      return isOpen ? messageActions(flight.id, { isLive: this.isLive, flight: this.store.header.flight }, can) : [];
    }
    if (picked.length === 1) return serverActions(picked[0], scene, can);
    return picked.length ? groupActions(picked, can) : [];
  }

  clusterActions() {
    return clusterActions(this.player.scene, this.store.gate, (verb) => this.can(verb));
  }

  /** @param {Order} order Orders are given one after the other, each where the one before has led. */
  act(order) {
    this.popups.close();
    this.player.stop();
    if (order.type === "partition" || order.type === "cut") this.picked.clear();
    this.orders.add(order);
  }
}
