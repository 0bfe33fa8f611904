import assert from "node:assert/strict";
import { test } from "node:test";
import { arcPath, islands, lane, progress, ringPlaces } from "../src/geometry.js";
import { message } from "./builders.js";

test("servers stand inside the box, the first at the top", () => {
  for (const count of [1, 2, 3, 5, 7, 9]) {
    const ids = Array.from({ length: count }, (_, place) => place + 1);
    const places = [...ringPlaces(ids, 400, 344, 26).values()];
    for (const { x, y } of places) assert.ok(x > 26 && x < 374 && y > 26 && y < 318, `${count}: ${x} ${y}`);
    assert.ok(places.every(({ y }) => y >= places[0].y - 1e-9));
  }
});

test("both directions of a link keep apart", () => {
  const [a, b] = [
    { x: 0, y: 0 },
    { x: 100, y: 0 },
  ];
  assert.ok(lane(a, b, 0.5, 10).y > 0);
  assert.ok(lane(b, a, 0.5, 10).y < 0);
});

test("a server that is cut off from all is an island of its own", () => {
  const cut = new Set(["1>2", "2>1", "1>3", "3>1"]);
  assert.deepEqual(islands([1, 2, 3], cut), [[1], [2, 3]]);
});

test("a link that is cut one way only still joins", () => {
  assert.deepEqual(islands([1, 2], new Set(["1>2"])), [[1, 2]]);
});

test("a message whose end is not known never quite arrives", () => {
  assert.equal(progress(message(1), 0.005, 0.01), 0.5);
  assert.equal(progress(message(1), 9, 0.01), 1);
  assert.equal(progress(message(1, { due: null }), 9, 0.01), 0.93);
});

test("nothing left of a timer is no arc", () => {
  assert.equal(arcPath(10, 0), "");
  assert.match(arcPath(10, 0.75), / 0 1 1 /);
});
