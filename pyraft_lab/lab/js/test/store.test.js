import assert from "node:assert/strict";
import { test } from "node:test";
import { Store } from "../src/store.js";
import { chunk, event, key, link, timeline } from "./builders.js";

test("a scene whose chunk is missing is asked for once", () => {
  const side = link(200);
  const store = new Store(side);
  assert.equal(store.scene("main", 100), null);
  assert.equal(store.scene("main", 100), null);
  assert.deepEqual(side.sent, [{ do: "want", branch: "main", chunk: 1 }]);
  store.takeChunk("main", chunk(1, 200));
  assert.equal(store.scene("main", 100).time, 1);
});

test("a scene is made of the chunk's first and all changes up to it", () => {
  const events = [event(0, { nodes: { 1: { term: 2 } } }), event(1, { nodes: { 1: { commit: 4 } } })];
  const whole = { number: 0, key: key(), events, book: {}, rules: {} };
  const store = new Store(link(2, {}, [["main", whole]]));
  assert.equal(store.scene("main", -1).nodes[1].term, 1);
  const { term, commit } = store.scene("main", 1).nodes[1];
  assert.deepEqual([term, commit], [2, 4]);
});

test("another version of a branch forgets the chunks that are no longer true", () => {
  const store = new Store(link(200));
  store.takeChunk("main", chunk(1, 200));
  store.takeChunk("main", chunk(2, 200));
  store.takeTimeline(timeline(150, { version: 1, kept: 130 }));
  assert.deepEqual([...store.chunks.keys()], ["main/0", "main/1"]);
});

test("a branch whose name has a slash keeps its chunks apart", () => {
  const store = new Store(link(200));
  store.takeTimeline(timeline(64, { name: "what/if" }));
  store.takeChunk("what/if", chunk(0, 64));
  store.takeTimeline(timeline(64, { name: "what/if", version: 1, kept: 0 }));
  assert.deepEqual([...store.chunks.keys()], ["main/0"]);
});

test("a timeline grows from where its news begin", () => {
  const store = new Store(link(3));
  const bands = [[2, 0.02, 1, 1]];
  const news = timeline(5, { from: 2, times: [0.02, 0.03, 0.04], bands, marks: [[4, 0.04, "crash", 1, "n1 crashes"]] });
  assert.equal(store.grow(news), true);
  const { times, marks } = store.timelines.get("main");
  assert.deepEqual(times, [0, 0.01, 0.02, 0.03, 0.04]);
  assert.equal(marks.length, 1);
});

test("news after a gap are refused: something was missed", () => {
  const store = new Store(link(3));
  assert.equal(store.grow(timeline(9, { from: 8, times: [0.08] })), false);
  assert.equal(store.timelines.get("main").times.length, 3);
});

test("what was seen stays seen while the version is the same", () => {
  const store = new Store(link(9));
  store.takeTimeline(timeline(9, { seen: 2 }));
  assert.equal(store.timelines.get("main").seen, 8);
  store.takeTimeline(timeline(9, { seen: 2, version: 1 }));
  assert.equal(store.timelines.get("main").seen, 2);
});
