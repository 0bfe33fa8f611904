import assert from "node:assert/strict";
import { test } from "node:test";
import {
  FIRST,
  clusterActions,
  freezeAction,
  groupActions,
  holdAction,
  messageActions,
  serverActions,
} from "../src/actions.js";
import { entriesOf, governs, windowOf } from "../src/entries.js";
import { keyScene } from "../src/scenes.js";
import { dedent, hash, lastAtMost, splitSection, termColour, typed, withoutSections } from "../src/tools.js";
import {
  asFirstTold,
  extraWords,
  membershipWords,
  messageLabel,
  messageSays,
  nodeWords,
  rivals,
  roleWord,
  speedWords,
  talliesOf,
  tallyWords,
  usableKeys,
} from "../src/words.js";
import { key, message, server } from "./builders.js";

const all = () => true;
const labels = (actions) => actions.map((one) => one.label);

test("a server is named by what it is and what happened to it", () => {
  assert.equal(roleWord(server({ role: "leader" }), true, true), "stale leader");
  assert.equal(roleWord(server({ up: false, silent: true }), false, true), "no longer heard from");
  assert.equal(roleWord(server({ role: "learner" }), false, false), "not a member");
  const scene = keyScene(key());
  assert.equal(extraWords(4, server(), scene), "no longer a member");
  assert.equal(extraWords(1, server({ vote: 2 }), scene), "voted for n2");
  assert.match(nodeWords(1, server({ granted: [1] }), scene, false), /^n1 follower 1, 1 votes of 3/);
});

test("several candidates are told in one line", () => {
  const ask = (by) => ({ what: "vote", by, term: 3, title: `n${by} asks`, line: "", sets: [] });
  assert.equal(rivals([ask(1), ask(2)]), "n1 and n2 both want to lead term 3");
  assert.equal(rivals([ask(1), ask(2), ask(5)]), "n1, n2 and n5 all want to lead term 3");
});

test("a leader shows the election that it won", () => {
  const leads = { what: "leads", by: 1, term: 1, title: "", line: "", sets: [] };
  assert.deepEqual(talliesOf(leads, undefined), []);
  const [tally] = talliesOf(leads, { yes: [1, 3], sets: [[1, 2, 3]] });
  assert.equal(tallyWords("leads", tally), "2 of 3 voted for it");
  assert.equal(tallyWords("vote", { ...tally, yes: [1] }), "1 of 3, 2 needed");
});

test("a joint membership is told with both its sets", () => {
  const members = {
    sets: [
      [1, 2, 3],
      [1, 2],
    ],
    learners: [4],
    at: 7,
  };
  const scene = keyScene(key({ nodes: { 1: server({ members }) } }));
  assert.equal(membershipWords(scene), "joint {1,2,3} + {1,2} since entry 7, learning: n4");
});

test("the speed says how long one message takes", () => {
  assert.equal(speedWords(1), "speed: one message takes 1.0 s");
  assert.equal(speedWords(0.25), "speed: one message takes 0.25 s");
});

test("only what makes sense is offered for a server", () => {
  const scene = keyScene(
    key({ nodes: { 1: server({ role: "leader" }), 2: server({ up: false }), 3: server({ paused: true }) } }),
  );
  assert.deepEqual(labels(serverActions(1, scene, all)), ["Crash", "Pause", "Snapshot", "Clock × 1.5", "Isolate"]);
  assert.deepEqual(labels(serverActions(2, scene, all)), ["Restart", "Isolate"]);
  assert.ok(labels(serverActions(3, scene, all)).includes("Resume"));
  assert.deepEqual(serverActions(9, scene, all), []);
});

test("what the session cannot do is not offered", () => {
  const scene = keyScene(key());
  assert.deepEqual(labels(serverActions(1, scene, (verb) => verb === "crash")), ["Crash"]);
  assert.deepEqual(
    clusterActions(scene, { closed: false, frozen: false }, () => false),
    [],
  );
  assert.deepEqual(labels(groupActions([1, 2, 3], all)), ["Isolate together"]);
});

test("messages and timers are held and let go by one switch each", () => {
  assert.equal(holdAction({ closed: false }, all).label, "Hold messages");
  assert.equal(holdAction({ closed: true }, all).order.type, "open");
  assert.equal(freezeAction({ frozen: true }, all).label, "Resume timers");
  const [deliver, , , later] = messageActions(7, { isLive: true, flight: 0.01 }, all);
  assert.deepEqual([deliver.label, later.order.seconds], ["Deliver", 1]);
});

test("entries are found in a log that was cut and taken over", () => {
  const log = {
    start: 2,
    last: 6,
    runs: [
      [3, 1, 1],
      [5, 2, 3],
    ],
  };
  assert.deepEqual(entriesOf(log, 1, 9), [
    [3, 1, 1],
    [4, 1, 1],
    [5, 2, 3],
    [6, 2, 3],
  ]);
  assert.deepEqual(entriesOf(log, 5, 5), [[5, 2, 3]]);
});

test("the newest membership at or before an entry governs it", () => {
  const log = { start: 0, last: 3, runs: [[1, 1, 1]] };
  const voters = { sets: [[1, 2]], learners: [] };
  const book = {
    "1.1.1": ["voters", "members", voters],
    "2.1.1": ["x=1", "write", null],
    "3.1.1": ["x=2", "write", null],
  };
  assert.equal(governs(log, book, 3), voters);
  assert.equal(governs(log, {}, 3), null);
});

test("the window of the logs ends with the newest column, or where it was slid to", () => {
  assert.deepEqual(windowOf(null, 20, 8), { first: 13, last: 20 });
  assert.deepEqual(windowOf(10, 20, 8), { first: 3, last: 10 });
});

test("small tools do what they say", () => {
  assert.equal(
    lastAtMost([1, 3, 5], 4, (one) => one),
    1,
  );
  assert.equal(
    lastAtMost([], 4, (one) => one),
    -1,
  );
  assert.deepEqual([typed("12"), typed(" "), typed("x1")], [12, " ", "x1"]);
  assert.equal(hash("a"), hash("a"));
  assert.notEqual(hash("a"), hash("b"));
  assert.deepEqual(dedent(["  a", "", "    b"]), ["a", "", "  b"]);
  assert.deepEqual(splitSection("n1 votes (§5.2)"), ["n1 votes", " (§5.2)"]);
  assert.equal(withoutSections("n1 votes (§5.2)"), "n1 votes");
});

test("terms repeat their colours, and dark ones get white text", () => {
  const colours = { palette: ["#111", "#222"], none: "#999", dark: ["#111"] };
  assert.deepEqual(termColour(colours, 3), { fill: "#111", ink: "#FFFFFF" });
  assert.equal(termColour(colours, 0).fill, "#999");
});

test("the plain view says nothing that its chapter does not explain", () => {
  const append = message(1, { kind: "AppendRequest", glyph: "A", entries: 2 });
  assert.deepEqual([messageLabel(append, true), messageLabel(append)], ["A", "A2"]);
  assert.deepEqual([messageSays(append, true), messageSays(append)], ["I lead: store this", "append these entries"]);
  const noop = { what: "commit", by: 1, term: 1, title: "", line: "entry 2 …", plain: "they follow it", sets: [] };
  assert.deepEqual([asFirstTold(noop).what, asFirstTold(noop).line], ["leads", "they follow it"]);
  assert.equal(asFirstTold({ ...noop, writes: true }).what, "commit");
  const offered = labels(serverActions(1, keyScene(key()), (verb) => FIRST.has(verb)));
  assert.deepEqual(offered, ["Crash", "Pause", "Isolate"]);
});

test("keys that do nothing here are not told", () => {
  const words = usableKeys((verb) => verb === "crash").map(([, said]) => said);
  assert.ok(words.includes("crash") && words.includes("play, pause"));
  assert.ok(!words.includes("snapshot"));
});
