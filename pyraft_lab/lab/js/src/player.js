// The playhead: branch, event and time. It moves by steps, by scrubbing and by playing, and tells its listeners.

import { CHUNK } from "./store.js";
import { clamp, lastAtMost } from "./tools.js";

const REPORT = 150; // milliseconds between two reports of what is shown, while it plays
const REST = 0.7; // seconds for which each event is shown to those who want no motion
const QUICK = 8; // how many times faster it goes where nothing is under way
const STEP = 0.45; // seconds one step takes at most

/** @typedef {{ paint: () => void, animate: () => void }} Listeners */

export class Player {
  /**
   * @param {import("./store.js").Store} store
   * @param {Listeners} listeners
   * @param {boolean} calm Whether nothing may move by itself.
   */
  constructor(store, listeners, calm) {
    this.store = store;
    this.listeners = listeners;
    this.calm = calm;
    const { branch, event, time } = store.header.place;
    this.branch = branch;
    this.event = event;
    this.time = time;
    this.pace = 1; // seconds that one message takes on the screen
    this.playing = false;
    this.quiet = false;
    this.waits = false;
    /** @type {number | null} */
    this.goal = null;
    this.frame = 0;
    this.reported = 0;
    this.rested = 0;
    this.wanted = "";
    /** @type {number | null} The event of the first branch at which playing stops once, for a question. */
    this.until = store.header.opening.until;
  }

  /** Play by itself up to where it stops for a question; not for those who want no motion. */
  begin() {
    if (this.calm || this.playing || this.until == null || this.event >= this.until) return;
    this.toggle();
  }

  /** Begin again. @param {number} index */
  reset(index) {
    this.until = this.store.header.opening.until;
    this.go(index, "main");
  }

  /** Whether playing has come to where it stops for a question. */
  get isAsked() {
    return this.until != null && this.branch === "main" && this.event >= this.until;
  }

  get timeline() {
    return /** @type {import("./wire.js").Timeline} */ (this.store.timelines.get(this.branch));
  }

  get last() {
    return this.timeline.count - 1;
  }

  /** The earliest moment there still is. */
  get start() {
    return this.timeline.gone ? this.timeline.times[0] : 0;
  }

  get scene() {
    return this.store.scene(this.branch, this.event);
  }

  /** @param {number} index The time of an event, where it is at hand. */
  timeOf(index) {
    return index < 0 ? 0 : this.store.event(this.branch, index)?.time;
  }

  /** @param {number} index Stand right after it. */
  go(index, branch = this.branch) {
    this.stop();
    this.branch = branch;
    const { count } = this.timeline;
    this.event = clamp(Math.min(0, count - 1), index, count - 1);
    this.time = this.timeOf(this.event) ?? this.time;
    this.arrive();
  }

  /** @param {number} index Stand right after the newest event of what grows by itself. */
  follow(index) {
    this.event = this.timeline.seen = index;
    this.time = this.timeOf(index) ?? this.timeline.end;
    this.report();
  }

  /** @param {number} time Stand there; it may be between two events. */
  seek(time) {
    this.stop();
    const { times, end } = this.timeline;
    this.time = clamp(this.start, time, end);
    this.event = lastAtMost(times, this.time, (one) => one);
    this.arrive();
  }

  step() {
    this.playing = false;
    if (this.goal != null) return this.go(this.goal);
    const next = this.event < this.last ? this.timeOf(this.event + 1) : null;
    this.waits = next == null && (this.event < this.last || this.ask());
    if (next == null) return this.listeners.paint();
    if (this.calm || next - this.time < 1e-7) return this.go(this.event + 1);
    this.goal = this.event + 1;
    this.run();
  }

  back() {
    this.go(this.time > (this.timeOf(this.event) ?? 0) + 1e-9 ? this.event : this.event - 1);
  }

  toggle() {
    if (this.playing) return this.go(this.event);
    this.goal = null;
    this.playing = true;
    this.run();
    this.listeners.paint();
  }

  /** Something arrived: take the step that waited for it. */
  resume() {
    if (this.waits) this.step();
  }

  stop() {
    this.playing = false;
    this.goal = null;
    this.quiet = false;
    this.waits = false;
  }

  run() {
    if (this.frame) return;
    let before = performance.now();
    /** @param {number} now */
    const tick = (now) => {
      this.frame = 0;
      const passed = Math.min(now - before, 100) / 1000;
      before = now;
      this.move(passed);
      if (this.playing || this.goal != null) this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  /** @param {number} passed Seconds that went by in front of the screen. */
  move(passed) {
    if (this.calm && this.goal == null) return this.leap(passed);
    const before = this.event;
    let time = this.advance(this.time + passed * this.rate());
    if (this.event >= this.last && this.goal == null) {
      time = Math.min(time, this.timeOf(this.event) ?? time);
      if (!this.ask()) this.stop();
    } else if (this.timeOf(this.event + 1) == null) time = this.time;
    this.time = Math.max(time, this.timeOf(this.event) ?? 0);
    if (this.event !== before) this.arrive();
    else this.listeners.animate();
  }

  /**
   * Pass every event up to `time`, or to the goal.
   *
   * @param {number} time
   * @returns {number} The time that was reached.
   */
  advance(time) {
    const stop = this.goal ?? this.last;
    const asks = this.branch === "main" ? this.until : null;
    while (this.event < stop) {
      const next = this.timeOf(this.event + 1);
      if (next == null || next > time) return time;
      this.event += 1;
      if (this.event === this.goal) {
        this.goal = null;
        return next;
      }
      if (this.event === asks) {
        this.stop();
        return next;
      }
    }
    return time;
  }

  /** @param {number} passed Without motion: one event after the other, each for a while. */
  leap(passed) {
    this.rested += passed;
    if (this.rested < REST * this.pace) return;
    this.rested = 0;
    const next = this.event < this.last ? this.timeOf(this.event + 1) : null;
    if (next == null) {
      if (this.event >= this.last && !this.ask()) this.stop();
      return this.listeners.animate();
    }
    this.event += 1;
    this.time = next;
    if (this.isAsked) this.stop();
    this.arrive();
  }

  /** Virtual seconds for one in front of the screen; where nothing is under way time goes faster. */
  rate() {
    const { flight } = this.store.header;
    const scene = this.scene;
    const next = this.timeOf(this.event + 1) ?? this.time;
    const base = flight / this.pace;
    this.quiet = false;
    if (this.goal != null) return Math.max(base, (next - this.time) / STEP, flight * 1.2);
    this.quiet = Boolean(this.playing && scene && scene.flying.size === 0 && next - this.time > flight);
    return this.quiet ? base * QUICK : base;
  }

  arrive() {
    if (this.isAsked) this.until = null;
    this.timeline.seen = Math.max(this.timeline.seen, this.event);
    this.listeners.paint();
    this.ask();
    this.report();
  }

  /** Tell the other side what is shown, now and then. */
  report() {
    const now = performance.now();
    const isMoving = this.playing || this.store.header.live;
    if (isMoving && now - this.reported <= REPORT) return;
    this.reported = now;
    this.store.link.send({ do: "seen", branch: this.branch, event: this.event, time: this.time });
  }

  /** Ask for more future where it runs short; false where there can be none. */
  ask() {
    if (!this.store.header.grows) return false;
    const { name, version, count, limit } = this.timeline;
    const known = `${name}/${version}/${count}`;
    if (count - this.event < CHUNK && count < limit && this.wanted !== known) {
      this.wanted = known;
      this.store.link.send({ do: "ahead", branch: this.branch, events: this.event + 3 * CHUNK });
    }
    return count < limit;
  }
}
