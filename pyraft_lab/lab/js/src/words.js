// What the drawing says in words. No elements are made here.

import { governing, isMember, isStill } from "./scenes.js";
import { braces, name } from "./tools.js";

/** @typedef {import("./wire.js").ServerDrawing} Server */
/** @typedef {import("./wire.js").MessageDrawing} Message */
/** @typedef {import("./wire.js").Decision} Decision */
/** @typedef {import("./wire.js").Tally} Tally */
/** @typedef {import("./scenes.js").Scene} Scene */

/** @typedef {[keys: string, words: string, verb?: string]} Key */

export const KEYS = /** @type {Key[]} */ ([
  ["← →", "one event back, forward"],
  ["Space", "play, pause"],
  ["Home End", "first, newest event"],
  ["[ ]", "previous, next mark on the tape"],
  ["1 … 9", "choose a server (Shift: several)"],
  ["n", "choose the next message"],
  ["Esc", "choose nothing"],
  [". or menu key", "actions on what is chosen", "menu"],
  ["c", "crash", "crash"],
  ["r", "restart", "restart"],
  ["p", "pause or resume", "pause"],
  ["t", "fire the election timer", "timeout"],
  ["l", "transfer leadership", "transfer"],
  ["s", "snapshot", "snapshot"],
  ["d", "drop the message", "drop"],
  ["u", "duplicate it", "duplicate"],
  ["y", "delay it", "delay"],
  ["b", "hold messages, or release all", "hold"],
  ["o", "deliver the held message", "release"],
  ["f", "freeze timers, or resume them", "freeze"],
  ["x", "isolate the chosen servers", "partition"],
  ["k", "cut the link between two", "cut"],
  ["h", "heal the network", "heal"],
  ["w", "write", "write"],
  ["g", "read", "read"],
  ["a", "add a learner", "learner"],
  ["m", "change the membership", "membership"],
  ["?", "these keys"],
]);

/** @param {(verb: string) => boolean} can @returns {Key[]} The keys that do something here. */
export const usableKeys = (can) => KEYS.filter(([, , verb]) => !verb || can(verb));

/** What each kind of message says, for those who see its letter for the first time. */
const SAYS = /** @type {Record<string, string>} */ ({
  PreVoteRequest: "would you vote for me?",
  "PreVoteResponse+": "I would",
  "PreVoteResponse−": "I would not",
  VoteRequest: "vote for me",
  "VoteResponse+": "you have my vote",
  "VoteResponse−": "no vote for you",
  AppendRequest: "append these entries",
  "AppendAccepted+": "they are on my disk",
  "AppendRefused−": "they do not fit my log",
  HeartbeatRequest: "I am still the leader",
  "HeartbeatResponse+": "I hear you",
  SnapshotRequest: "a part of the snapshot",
  "SnapshotResponse+": "send the next part",
  TimeoutNow: "become the leader in my place",
  "Outdated−": "your term is over",
});

/** The same for those who know neither logs nor disks. */
const FIRST_SAYS = /** @type {Record<string, string>} */ ({
  AppendRequest: "I lead: store this",
  "AppendAccepted+": "stored",
  "AppendRefused−": "I lack something before it",
});

/** @param {Message} flight @param {boolean} [isPlain] */
export function messageSays(flight, isPlain) {
  const kind = `${flight.kind}${flight.sign}`;
  return (isPlain && FIRST_SAYS[kind]) || SAYS[kind] || flight.kind;
}

/** @param {Message} flight @param {boolean} [isPlain] What is written in its mark. */
export const messageLabel = (flight, isPlain) =>
  flight.answer ? flight.glyph + flight.sign : `${flight.glyph}${(!isPlain && flight.entries) || ""}`;

/** @param {Message} flight */
export const messageWords = (flight) => `${flight.name}, from ${name(flight.src)} to ${name(flight.dst)}`;

// Servers

/** @param {Server} state @param {boolean} stale @param {boolean} member */
export function roleWord(state, stale, member) {
  if (!state.up) return state.silent ? "no longer heard from" : "down";
  if (state.halted) return "halted";
  if (state.paused) return "paused";
  if (stale) return "stale leader";
  if (state.role === "learner" && !member) return "not a member";
  return state.role === "precandidate" ? "pre-candidate" : state.role;
}

/** @param {number} id @param {Server} state @param {Scene} scene */
export function extraWords(id, state, scene) {
  if (!state.up || state.paused) return "";
  const voted = state.role === "follower" && state.vote && !state.leader && state.vote !== id;
  if (state.incoming) return "snapshot arrives";
  if (state.rate !== 1) return `clock × ${state.rate}`;
  if (voted) return `voted for ${name(state.vote)}`;
  return !isMember(id, scene) && state.role !== "learner" ? "no longer a member" : "";
}

/**
 * A server as it is written on the scene, and how far its log is.
 *
 * @param {number} id @param {Server} state @param {Scene} scene @param {boolean} stale
 */
export function nodeWords(id, state, scene, stale) {
  const bare = state.granted || state.role === "learner" ? String(state.term) : `term ${state.term}`;
  const parts = [name(id), roleWord(state, stale, isMember(id, scene)), extraWords(id, state, scene)];
  const drawn = [...parts, isStill(state) ? "" : bare].filter(Boolean).join(" ");
  const votes = state.granted ? `, ${state.granted.length} votes of ${new Set(state.members.sets.flat()).size}` : "";
  return `${drawn}${votes}, log to ${state.log.last}, committed to ${state.commit}`;
}

/** @param {import("./wire.js").PeerProgress} one What a leader knows of a peer. */
export function peerWords(one) {
  if (one.pace === "snapshot") return `snapshot ${one.offset} of ${one.size} bytes`;
  const inflight = one.inflight ? `, ${one.inflight} in flight` : "";
  return `matched ${one.matched}, next ${one.next}${inflight}${one.pace === "pipeline" ? "" : ` (${one.pace})`}`;
}

// Decisions

/** @param {Scene} scene What there is to wait for while nobody decides anything. */
export function waitingWords(scene) {
  const isUp = Object.values(scene.nodes).some((state) => state.up);
  return isUp ? "followers wait; the first whose election timer fires asks for votes" : "no server is up";
}

/** @param {Decision} decision As it is told to those who know no entries: what is not a client's write is leadership. */
export const asFirstTold = (decision) =>
  decision.what === "commit" && !decision.writes
    ? { ...decision, what: /** @type {const} */ ("leads"), line: decision.plain }
    : { ...decision, line: decision.plain };

/** @param {Decision[]} found Several servers that lead, or want to. */
export function rivals(found) {
  if (found.some((one) => one.what === "leads" || one.what === "commit")) {
    return found.map((one) => one.title).join("; ");
  }
  const names = found.map((one) => name(one.by));
  const all = found.length > 2 ? "all" : "both";
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)} ${all} want to lead term ${found[0].term}`;
}

/**
 * What to count for a decision, set by set; for a leadership: the election that brought it about, if it was seen.
 *
 * @param {Decision} decision @param {import("./wire.js").ElectedBy | undefined} elected
 * @returns {Tally[]}
 */
export function talliesOf(decision, elected) {
  if (decision.what !== "leads") return decision.sets;
  if (!elected) return [];
  return elected.sets.map((of, place) => ({
    name: elected.sets.length > 1 ? ["C-old", "C-new"][place] : "voters",
    of,
    yes: of.filter((id) => elected.yes.includes(id)),
    no: [],
    need: Math.floor(of.length / 2) + 1,
  }));
}

/** @param {Decision["what"]} what @param {boolean} yes @param {boolean} no */
export function chipWord(what, yes, no) {
  if (what === "commit") return yes ? "has it on disk" : "does not have it yet";
  if (yes) return "voted yes";
  return no ? "voted no" : "has not answered";
}

/** @param {Decision["what"]} what @param {Tally} tally */
export function tallyWords(what, { yes, of, need }) {
  if (what === "leads") return `${yes.length} of ${of.length} voted for it`;
  return `${yes.length} of ${of.length}${yes.length >= need ? ", enough" : `, ${need} needed`}`;
}

// Logs and memberships

/** @param {number[]} ids @param {Scene} scene */
export function logsWords(ids, scene) {
  const rows = ids.map((id) => {
    const { log, commit } = scene.nodes[id];
    return `${name(id)}: ${log.last} entries, committed to ${commit}`;
  });
  return `Logs. ${rows.join("; ")}`;
}

/** @param {Scene} scene */
export function membershipWords(scene) {
  const members = governing(scene);
  if (!members || !members.sets.length) return "no cluster yet";
  const learners = members.learners.length ? `, learning: ${members.learners.map(name).join(", ")}` : "";
  if (members.sets.length > 1)
    return `joint ${members.sets.map(braces).join(" + ")} since entry ${members.at}${learners}`;
  return `${members.sets[0].length} voters ${braces(members.sets[0])}${learners}`;
}

/** @param {number} pace Seconds one message takes on the screen. */
export const speedWords = (pace) => `speed: one message takes ${pace.toFixed(pace < 1 ? 2 : 1)} s`;

/** @param {number} pace The same, short enough for the bar. */
export const paceWords = (pace) => `a message takes ${pace.toFixed(pace < 1 ? 2 : 1)} s`;
