// Scenes: what is to be seen at one moment, each made of the one before and what an event changed.

import { name } from "./tools.js";

/** @typedef {import("./wire.js").ServerDrawing} Server */
/** @typedef {import("./wire.js").MessageDrawing} Message */
/** @typedef {import("./wire.js").SceneEvent} SceneEvent */
/** @typedef {import("./wire.js").Decision} Decision */

/**
 * A message that will never arrive: `flies` while it is still shown on its way.
 *
 * @typedef {{ flight: Message, time: number, why: string, flies: boolean }} Fallen
 */

/**
 * @typedef {object} Scene
 * @property {number} time
 * @property {Record<string, Server>} nodes
 * @property {Map<number, Message>} flying Messages under way, by their number.
 * @property {Fallen[]} fallen
 * @property {[number, number][]} cuts
 * @property {Decision[]} decisions
 * @property {Record<string, string[]>} changed The fields that the last event changed, by server.
 */

const LANDS = new Set(["receive", "undelivered", "drop"]);
const SHOWN = 2.5; // message times for which a lost message is shown

/**
 * The scene a chunk begins with.
 *
 * @param {import("./wire.js").Scene} key
 * @returns {Scene}
 */
export function keyScene(key) {
  const flying = new Map(key.flying.map((flight) => [flight.id, flight]));
  return { ...key, flying, fallen: [], changed: {} };
}

/**
 * The scene after `event`; what did not change is shared with the scene before.
 *
 * @param {Scene} before @param {SceneEvent} event
 * @param {number} flight How long a message usually takes, in seconds.
 * @returns {Scene}
 */
export function nextScene(before, event, flight) {
  const fallen = before.fallen.filter((one) => event.time - one.time < SHOWN * flight);
  const scene = { ...before, time: event.time, changed: {}, fallen };
  if (event.nodes) changeServers(scene, before, event.nodes);
  if (event.cuts) scene.cuts = event.cuts;
  if (event.decisions) scene.decisions = event.decisions;
  if (event.sent.length || event.gone.length || LANDS.has(event.kind)) moveMessages(scene, before, event);
  return scene;
}

/** @param {Scene} scene @param {Scene} before @param {Record<string, Partial<Server>>} nodes */
function changeServers(scene, before, nodes) {
  scene.nodes = { ...before.nodes };
  for (const [id, changes] of Object.entries(nodes)) {
    scene.nodes[id] = { ...before.nodes[id], ...changes };
    scene.changed[id] = Object.keys(changes);
  }
}

/** @param {Scene} scene @param {Scene} before @param {SceneEvent} event */
function moveMessages(scene, before, event) {
  scene.flying = new Map(before.flying);
  for (const flight of event.sent) {
    const why = flight.lost === "cut" ? "link cut" : "lost";
    if (flight.lost) scene.fallen.push({ flight, time: flight.sent, why, flies: true });
    else scene.flying.set(flight.id, flight);
  }
  const landed = LANDS.has(event.kind) ? before.flying.get(event.message ?? -1) : undefined;
  if (landed) {
    scene.flying.delete(landed.id);
    const why = whyLost(event, landed);
    if (event.kind !== "receive") scene.fallen.push({ flight: landed, time: event.time, why, flies: false });
  }
  for (const [id, why] of event.gone) {
    const flight = scene.flying.get(id);
    if (flight) scene.fallen.push({ flight, time: event.time, why, flies: false });
    scene.flying.delete(id);
  }
}

/** @param {SceneEvent} event @param {Message} flight */
function whyLost(event, flight) {
  if (event.kind === "drop") return "dropped";
  return /cut/.test(event.text) ? "link cut" : `${name(flight.dst)} is down`;
}

/** @param {Scene} scene @param {number} id */
export function findFlight(scene, id) {
  return scene.flying.get(id) ?? scene.fallen.find((one) => one.flight.id === id)?.flight;
}

/** @param {Scene} scene The servers' ids, in order. */
export const idsOf = (scene) =>
  Object.keys(scene.nodes)
    .map(Number)
    .sort((a, b) => a - b);

/**
 * The membership that the server that decides goes by.
 *
 * @param {Scene} scene
 * @returns {import("./wire.js").MembershipDrawing | undefined}
 */
export function governing(scene) {
  const by = scene.decisions[0]?.by ?? Object.keys(scene.nodes)[0];
  return scene.nodes[by]?.members;
}

/** @param {number} id @param {Scene} scene */
export function isMember(id, scene) {
  const members = governing(scene);
  if (!members || members.sets.length === 0) return true;
  return members.sets.flat().includes(id) || members.learners.includes(id);
}

/** @param {Server} state Whether it does nothing at all. */
export const isStill = (state) => !state.up || state.paused || Boolean(state.halted);

/**
 * The messages that are held, lane by lane, the oldest first.
 *
 * @param {Scene} scene @param {number[]} held
 */
export function heldQueues(scene, held) {
  /** @type {Map<string, number[]>} */
  const queues = new Map();
  for (const id of held) {
    const flight = scene.flying.get(id);
    if (!flight) continue;
    const way = `${flight.src}>${flight.dst}`;
    queues.set(way, [...(queues.get(way) ?? []), id]);
  }
  return queues;
}
