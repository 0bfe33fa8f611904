// What can be done to what is chosen. Labels are the words of the buttons and menus.

import { idsOf } from "./scenes.js";
import { name } from "./tools.js";

/** @typedef {import("./wire.js").LiveOrder} Order */
/** @typedef {"write" | "read" | "membership"} FormName */

/**
 * One action: `form` opens a form, `order` is carried out at once.
 *
 * @typedef {{ verb: Order["type"], label: string, key: string, order?: Order, form?: FormName }} Action
 */

/** @typedef {(verb: string) => boolean} Can */

/** What the first chapters explain: the plain view offers nothing else. */
export const FIRST = new Set(
  "crash restart pause resume partition cut heal write read drop hold open release freeze thaw".split(" "),
);

/** @param {Order} order @param {string} label @param {string} key @returns {Action} */
const action = (order, label, key) => ({ verb: order.type, label, key, order });

/** @param {FormName} form @param {string} label @param {string} key @returns {Action} */
const inForm = (form, label, key) => ({ verb: form, label, key, form });

/**
 * @param {(Action | false | null | undefined)[]} actions @param {Can} can
 * @returns {Action[]}
 */
const possible = (actions, can) =>
  actions.filter((one) => one != null && one !== false && can(one.verb)).map((one) => /** @type {Action} */ (one));

/** @param {number} node @param {import("./scenes.js").Scene} scene @param {Can} can */
export function serverActions(node, scene, can) {
  const state = scene.nodes[node];
  if (!state) return [];
  const isRight = state.rate === 1;
  const follows = state.up && state.role !== "leader";
  return possible(
    [
      state.up && action({ type: "crash", node }, "Crash", "c"),
      !state.up && action({ type: "restart", node }, "Restart", "r"),
      state.up && !state.paused && action({ type: "pause", node }, "Pause", "p"),
      state.paused && action({ type: "resume", node }, "Resume", "p"),
      follows && action({ type: "timeout", node }, "Fire election timer", "t"),
      follows && action({ type: "transfer", node }, "Transfer leadership", "l"),
      state.up && action({ type: "snapshot", node }, "Snapshot", "s"),
      state.up && action({ type: "drift", node, rate: isRight ? 1.5 : 1 }, isRight ? "Clock × 1.5" : "Clock × 1", ""),
      action({ type: "partition", nodes: [node] }, "Isolate", "x"),
    ],
    can,
  );
}

/** @param {number[]} nodes Several servers. @param {Can} can */
export function groupActions(nodes, can) {
  const pair = /** @type {[number, number]} */ (nodes);
  return possible(
    [
      action({ type: "partition", nodes }, "Isolate together", "x"),
      nodes.length === 2 && action({ type: "cut", nodes: pair }, "Cut their link", "k"),
    ],
    can,
  );
}

/** @param {number} message @param {{ isLive: boolean, flight: number }} about @param {Can} can */
export function messageActions(message, { isLive, flight }, can) {
  const later = action(
    { type: "delay", message, seconds: isLive ? 1 : 4 * flight },
    isLive ? "Deliver in 1 s" : "Delay",
    "y",
  );
  return possible(
    [
      action({ type: "release", message }, "Deliver", "o"),
      action({ type: "drop", message }, "Drop", "d"),
      action({ type: "duplicate", message }, "Duplicate", "u"),
      later,
    ],
    can,
  );
}

/**
 * @param {import("./scenes.js").Scene | null} scene @param {{ closed: boolean, frozen: boolean }} gate @param {Can} can
 */
export function clusterActions(scene, gate, can) {
  const next = Math.max(0, ...(scene ? idsOf(scene) : [])) + 1;
  return possible(
    [
      inForm("write", "Write …", "w"),
      inForm("read", "Read …", "g"),
      scene?.cuts.length ? action({ type: "heal" }, "Heal the network", "h") : null,
      action({ type: "learner", node: next }, `Add learner ${name(next)}`, "a"),
      inForm("membership", "Change the membership …", "m"),
      holdAction(gate, can),
      freezeAction(gate, can),
    ],
    can,
  );
}

/** @param {{ closed: boolean }} gate @param {Can} can */
export function holdAction(gate, can) {
  if (!can("hold")) return null;
  return gate.closed ? action({ type: "open" }, "Release all", "b") : action({ type: "hold" }, "Hold messages", "b");
}

/** @param {{ frozen: boolean }} gate @param {Can} can */
export function freezeAction(gate, can) {
  if (!can("freeze")) return null;
  return gate.frozen
    ? action({ type: "thaw" }, "Resume timers", "f")
    : action({ type: "freeze" }, "Freeze timers", "f");
}
