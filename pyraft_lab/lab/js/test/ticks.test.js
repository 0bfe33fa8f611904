import assert from "node:assert/strict";
import { test } from "node:test";
import { layTicks, nextMark, timeWindow } from "../src/ticks.js";
import { timeline } from "./builders.js";

const at = (time) => time * 100;

test("marks on one spot are drawn once, the important one first", () => {
  const marks = [
    [1, 1, "commit", 1, "entry 1 committed"],
    [2, 1.01, "election", 1, "n1 elected"],
  ];
  const [only, ...others] = layTicks(marks, at, 600);
  assert.equal(only.mark[2], "election");
  assert.deepEqual(others, []);
});

test("labels never overlap, and stay within the width", () => {
  const marks = Array.from({ length: 40 }, (_, id) => [id, id * 0.15, "write", 1, `key${id}=value`]);
  const labelled = layTicks(marks, at, 600).filter(({ label }) => label != null);
  const boxes = labelled.map(({ mark, label }) => [label - mark[4].length * 2.9, label + mark[4].length * 2.9]);
  boxes.sort(([a], [b]) => a - b);
  assert.ok(labelled.length > 3);
  for (const [left, right] of boxes) assert.ok(left >= 0 && right <= 600);
  boxes.slice(1).forEach(([left], place) => assert.ok(left > boxes[place][1]));
});

test("the window shows all, or a part around the moment", () => {
  assert.deepEqual(timeWindow(0, 1, null, 0.3), [0, 1.02]);
  assert.deepEqual(timeWindow(0, 1, 0.5, 0.5), [0.25, 0.75]);
  assert.deepEqual(timeWindow(0, 1, 0.2, 0.01), [0, 0.2]);
});

test("a jump finds the next mark of its kind, among what has happened", () => {
  const marks = [
    [2, 0.02, "crash", 1, ""],
    [5, 0.05, "write", 0, ""],
    [8, 0.08, "crash", 2, ""],
  ];
  const tape = timeline(10, { marks, seen: 6 });
  assert.equal(nextMark(tape, 0, 1, "crashes")[0], 2);
  assert.equal(nextMark(tape, 2, 1, "crashes"), undefined);
  assert.equal(nextMark(tape, 6, -1, "writes")[0], 5);
});
