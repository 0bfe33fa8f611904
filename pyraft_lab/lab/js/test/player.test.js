import assert from "node:assert/strict";
import { test } from "node:test";
import { Player } from "../src/player.js";
import { Store } from "../src/store.js";
import { link } from "./builders.js";

const quiet = { paint: () => {}, animate: () => {} };

function player(count, { changes = {}, calm = false } = {}) {
  const side = link(count, changes);
  return { side, player: new Player(new Store(side), quiet, calm) };
}

test("it stands after the first event that it is told to", () => {
  const { player: one } = player(10, { changes: { place: { branch: "main", event: 4, time: 0.04 } } });
  assert.deepEqual([one.event, one.time], [4, 0.04]);
});

test("going beyond either end stops there", () => {
  const { player: one } = player(10);
  one.go(99);
  assert.equal(one.event, 9);
  one.go(-5);
  assert.equal(one.event, 0);
});

test("a time between two events is after the first of them", () => {
  const { player: one } = player(10);
  one.seek(0.045);
  assert.deepEqual([one.event, one.time], [4, 0.045]);
  one.back();
  assert.deepEqual([one.event, one.time], [4, 0.04]);
  one.back();
  assert.equal(one.event, 3);
});

test("playing passes events as their time comes, and ends with the last", () => {
  const { player: one } = player(4);
  one.playing = true;
  one.move(1); // one message time
  assert.equal(one.event, 1);
  for (let turn = 0; turn < 9; turn += 1) one.move(1);
  assert.deepEqual([one.event, one.playing, one.time], [3, false, 0.03]);
});

test("half the pace passes half as much", () => {
  const { player: one } = player(9);
  one.playing = true;
  one.pace = 2;
  one.move(1);
  assert.deepEqual([one.event, one.time], [0, 0.005]);
});

test("where nothing is under way for long, time goes faster and says so", () => {
  const times = [0, 0.5];
  const { player: one } = player(2);
  one.store.timelines.set("main", { ...one.timeline, times, end: 0.5 });
  one.store.chunks.get("main/0").events[1].time = 0.5;
  one.playing = true;
  one.move(0.1);
  assert.equal(one.quiet, true);
  assert.ok(Math.abs(one.time - 0.008) < 1e-9);
});

test("a step waits for the chunk it lacks, and is taken when that comes", () => {
  const { player: one, side } = player(100, {
    calm: true,
    changes: { place: { branch: "main", event: 63, time: 0.63 } },
  });
  one.step();
  assert.deepEqual([one.event, one.waits], [63, true]);
  assert.deepEqual(side.sent.filter((said) => said.do === "want").length, 1);
});

test("more future is asked for once where it runs short", () => {
  const { player: one, side } = player(10, { changes: { grows: true } });
  one.store.timelines.set("main", { ...one.timeline, limit: 500 });
  assert.equal(one.ask(), true);
  assert.equal(one.ask(), true);
  assert.deepEqual(side.sent, [{ do: "ahead", branch: "main", events: 192 }]);
});

test("without motion each event is shown for a while", () => {
  const { player: one } = player(5, { calm: true });
  one.playing = true;
  one.move(0.5);
  assert.equal(one.event, 0);
  one.move(0.5);
  assert.equal(one.event, 1);
});

test("what is shown is told to the other side", () => {
  const { player: one, side } = player(10);
  one.go(3);
  assert.deepEqual(side.sent.at(-1), { do: "seen", branch: "main", event: 3, time: 0.03 });
});

const asking = { opening: { view: "ring", until: 3, question: "Who leads?" } };

test("it plays by itself up to its question, and on when it is asked to", () => {
  const { player: one } = player(9, { changes: asking });
  one.playing = true;
  for (let turn = 0; turn < 6; turn += 1) if (one.playing) one.move(1);
  assert.deepEqual([one.event, one.playing, one.until], [3, false, null]);
  one.playing = true;
  one.move(1);
  assert.ok(one.event > 3);
  one.reset(0);
  assert.deepEqual([one.event, one.until], [0, 3]);
});

test("nothing plays by itself for those who want no motion, but the question is asked as well", () => {
  const { player: one } = player(9, { changes: asking, calm: true });
  one.begin();
  assert.equal(one.playing, false);
  one.go(3);
  assert.equal(one.until, null);
});
