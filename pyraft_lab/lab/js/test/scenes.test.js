import assert from "node:assert/strict";
import { test } from "node:test";
import { findFlight, isMember, keyScene, nextScene } from "../src/scenes.js";
import { event, key, message, server } from "./builders.js";

const FLIGHT = 0.01;

test("an event changes only what it names, and the rest is shared", () => {
  const before = keyScene(key());
  const after = nextScene(before, event(1, { nodes: { 2: { term: 5 } } }), FLIGHT);
  assert.equal(after.nodes[2].term, 5);
  assert.equal(before.nodes[2].term, 1);
  assert.equal(after.nodes[1], before.nodes[1]);
  assert.deepEqual(after.changed, { 2: ["term"] });
});

test("a server that joins is drawn from then on", () => {
  const after = nextScene(keyScene(key()), event(1, { nodes: { 4: server({ role: "learner" }) } }), FLIGHT);
  assert.equal(after.nodes[4].role, "learner");
});

test("a message is under way from when it is sent until it arrives", () => {
  const sent = nextScene(keyScene(key()), event(1, { sent: [message(7)] }), FLIGHT);
  assert.deepEqual([...sent.flying.keys()], [7]);
  const arrived = nextScene(sent, event(2, { kind: "receive", message: 7 }), FLIGHT);
  assert.equal(arrived.flying.size, 0);
  assert.deepEqual(arrived.fallen, []);
});

test("a message that is lost at once is never under way", () => {
  const scene = nextScene(keyScene(key()), event(1, { sent: [message(7, { lost: "cut" })] }), FLIGHT);
  assert.equal(scene.flying.size, 0);
  assert.deepEqual([scene.fallen[0].why, scene.fallen[0].flies], ["link cut", true]);
});

test("a message that does not arrive says why", () => {
  const sent = nextScene(keyScene(key()), event(1, { sent: [message(7)] }), FLIGHT);
  const why = (changes) => nextScene(sent, event(2, { message: 7, ...changes }), FLIGHT).fallen[0].why;
  assert.equal(why({ kind: "drop" }), "dropped");
  assert.equal(why({ kind: "undelivered", text: "the link is cut" }), "link cut");
  assert.equal(why({ kind: "undelivered" }), "n2 is down");
  assert.equal(nextScene(sent, event(2, { gone: [[7, "n2 is down"]] }), FLIGHT).fallen[0].why, "n2 is down");
});

test("a lost message is forgotten after a while", () => {
  const sent = nextScene(keyScene(key()), event(1, { sent: [message(7, { lost: "lost" })] }), FLIGHT);
  assert.equal(nextScene(sent, event(9, { time: 1 }), FLIGHT).fallen.length, 0);
});

test("a lost message can still be found by its number", () => {
  const sent = nextScene(keyScene(key()), event(1, { sent: [message(7, { lost: "lost" }), message(8)] }), FLIGHT);
  assert.deepEqual(
    [7, 8, 9].map((id) => findFlight(sent, id)?.id),
    [7, 8, undefined],
  );
});

test("membership is that of the server that decides", () => {
  const nodes = { 1: server(), 2: server({ members: { sets: [[2, 3]], learners: [], at: 9 } }) };
  const scene = keyScene(key({ nodes, decisions: [{ what: "leads", by: 2, term: 1, title: "", line: "", sets: [] }] }));
  assert.deepEqual(
    [1, 2, 3].map((id) => isMember(id, scene)),
    [false, true, true],
  );
});
