import assert from "node:assert/strict";
import { test } from "node:test";
import { openAtFirst, shownPanels, toggled } from "../src/panels.js";

test("the plain view begins with nothing beside the ring, and so does a narrow page", () => {
  assert.deepEqual(openAtFirst("ring", 2000), []);
  assert.deepEqual(openAtFirst("full", 500), []);
  assert.deepEqual(openAtFirst("full", 700), ["logs", "tape"]);
  assert.deepEqual(openAtFirst("full", 1400), ["inspector", "logs", "tape"]);
});

test("each panel is opened and folded by one click", () => {
  assert.deepEqual(toggled(["logs"], "tape"), ["logs", "tape"]);
  assert.deepEqual(toggled(["logs", "tape"], "logs"), ["tape"]);
});

test("where only one fits beside the ring, the newest is shown", () => {
  assert.deepEqual(shownPanels(["logs", "tape", "inspector"], 900), ["tape", "inspector"]);
  assert.deepEqual(shownPanels(["logs", "tape", "inspector"], 1200), ["logs", "tape", "inspector"]);
});
