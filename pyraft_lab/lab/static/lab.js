// The Lab's drawing: one module, no build step, no request to the outside. Python computes what happened and sends it
// as reels of plain JSON (a key scene, then what each event changes); here it is only drawn, played and asked for.
//
//   link ──▶ Store (branches, reels, scenes) ──▶ Player (where we are) ──▶ views: scene, logs, story, tape, inspector
//
// A link is either the kernel behind a widget or the recorded film of an offline page; see `render` and `play` below.

const REEL = 64;
const PATIENCE = 4000; // milliseconds without an answer after which that is said
const SILENT = "no answer from the kernel: it is busy, or it was restarted (then run the cell again); what is here can still be played";
const LOST = "the kernel of this Lab is gone: run the cell again for a new one; what is here can still be played";
const UNASKED = ["hello", "seen", "bye"]; // what nobody waits for to be answered
const NOD = 20000; // milliseconds after which a live Lab hears that somebody still looks
const QUEUE = 4; // how many held messages of one lane are drawn
const LANE = 13; // how far a message's path bends to its right, so that both directions of a link stay apart
const INK = "#1F2933";
const KEYS = [
  ["← →", "one event back, on"], ["Space", "play, pause"], ["Home End", "first, newest event"], ["[ ]", "previous, next mark"],
  ["1 … 9", "choose a server (Shift: more)"], ["n", "choose the next message"], ["Esc", "choose nothing"],
  ["c", "crash"], ["r", "restart"], ["p", "pause or go on"], ["t", "time out"], ["l", "hand leadership over"], ["s", "snapshot"],
  ["d u y", "drop, double, delay the message"], ["b o f", "live: hold messages, let the chosen pass, freeze timers"], ["x", "split off the chosen servers"], ["k", "cut the link between two"],
  ["h", "heal the network"], ["w", "write"], ["g", "read"], ["a", "add a learner"], ["m", "change the membership"],
  [". or menu key", "menu of the chosen"], ["?", "these keys"],
];

const SAYS = { // what a message says, for those who see its letter for the first time
  "PreVoteRequest": "would you vote for me?", "PreVoteResponse+": "I would", "PreVoteResponse−": "I would not", "VoteRequest": "vote for me", "VoteResponse+": "you have my vote", "VoteResponse−": "no vote for you",
  "AppendRequest": "append these entries", "AppendAccepted+": "they are on my disk", "AppendRefused−": "they do not fit my log", "HeartbeatRequest": "I still lead", "HeartbeatResponse+": "I hear you",
  "SnapshotRequest": "a part of the snapshot", "SnapshotResponse+": "go on with the snapshot", "TimeoutNow": "lead in my place", "Outdated−": "your term is over",
};

// ---------------------------------------------------------------------------------------------------- small tools

const SVG = "http://www.w3.org/2000/svg";

function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(2).filter((child) => child != null && child !== false));
  return node;
}
const h = (tag, attributes, ...children) => put(document.createElement(tag), attributes, children);
const s = (tag, attributes, ...children) => put(document.createElementNS(SVG, tag), attributes, children);
const set = (node, attributes) => { for (const name in attributes) node.setAttribute(name, attributes[name]); };
const clamp = (low, value, high) => Math.max(low, Math.min(high, value));
const name = (node) => `n${node}`;
const seconds = (time) => `${time.toFixed(3)} s`;

/** Whether a drawing shows these very things already; from now on it does. */
function isSame(drawing, things) {
  const shown = drawing.shown;
  drawing.shown = things;
  return Boolean(shown) && things.every((thing, place) => thing === shown[place]);
}

/** The last place in sorted `list` whose key is at most `value`; -1 if there is none. */
function lastAtMost(list, value, key) {
  let low = 0, high = list.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (key(list[middle]) <= value) low = middle + 1; else high = middle;
  }
  return low - 1;
}

const ICONS = {
  reset: "M3 3v4h4M3.3 7A5 5 0 1 1 3 9.5", back: "M10 2 3 7l7 5z", step: "M4 2l7 5-7 5z", play: "M3 1.5 12 7l-9 5.5z", pause: "M3 2h3v10H3zM8 2h3v10H8z",
};
function icon(which) {
  const stroked = which === "reset";
  return s("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" },
    s("path", { d: ICONS[which], fill: stroked ? "none" : "currentColor", stroke: stroked ? "currentColor" : "none", "stroke-width": 1.6 }));
}

// ---------------------------------------------------------------------------------------------------- what is known

/** Everything that was received: branches with their tapes, reels, and the scenes made of them. */
class Store {
  constructor(link, changed) {
    this.link = link; this.changed = changed;
    this.board = link.board();
    this.strips = new Map(); this.reels = new Map(); this.asked = new Map();
    this.book = {}; this.rules = {};
    this.gate = this.board.gate ?? { closed: false, frozen: false, held: [] };
    for (const strip of this.board.strips) this.takeStrip(strip);
    for (const [branch, reel] of link.reels()) this.takeReel(branch, reel);
  }

  takeStrip(strip) {
    const old = this.strips.get(strip.name);
    if (old && strip.version !== old.version) {
      for (const key of [...this.reels.keys()]) {
        const [branch, number] = key.split("/");
        if (branch === strip.name && (Number(number) + 1) * REEL > strip.kept) this.reels.delete(key);
      }
    }
    strip.seen = strip.version === old?.version ? Math.max(strip.seen, old.seen) : strip.seen;
    this.strips.set(strip.name, strip);
    this.asked.clear();
  }

  takeReel(branch, reel) {
    Object.assign(this.book, reel.book);
    Object.assign(this.rules, reel.rules);
    reel.scenes = [keyScene(reel.key)];
    this.reels.set(`${branch}/${reel.number}`, reel);
    this.asked.delete(`${branch}/${reel.number}`);
  }

  /** The scene right after event `index` (-1: before everything); null while its reel is still to come. */
  scene(branch, index) {
    const reel = this.reelOf(branch, Math.max(index, 0));
    if (!reel) return null;
    const wanted = index < 0 ? 0 : index - reel.number * REEL + 1;
    while (reel.scenes.length <= wanted) reel.scenes.push(nextScene(reel.scenes.at(-1), reel.events[reel.scenes.length - 1], this.board.flight));
    return reel.scenes[wanted];
  }

  event(branch, index) {
    if (index < 0) return null;
    return this.reelOf(branch, index)?.events[index % REEL] ?? null;
  }

  reelOf(branch, index) {
    const number = Math.floor(index / REEL), key = `${branch}/${number}`, reel = this.reels.get(key);
    if (reel && index - number * REEL < Math.max(reel.events.length, 1)) return reel;
    const now = performance.now();
    if (!this.asked.has(key) || now - this.asked.get(key) > 2000) {
      this.asked.set(key, now);
      this.link.send({ do: "want", branch, reel: number });
    }
    return null;
  }
}

function keyScene(key) {
  const flying = new Map(key.flying.map((flight) => [flight.id, flight]));
  return { time: key.time, nodes: key.nodes, cuts: key.cuts, decisions: key.decisions, flying, fallen: [], changed: {} };
}

const LANDS = new Set(["receive", "undelivered", "drop"]);

/** The scene after `event`: unchanged parts are shared with the one before. */
function nextScene(before, event, flight) {
  const scene = { ...before, time: event.time, changed: {}, fallen: before.fallen.filter((one) => event.time - one.time < 2.5 * flight) };
  if (event.nodes) {
    scene.nodes = { ...before.nodes };
    for (const [id, changes] of Object.entries(event.nodes)) {
      scene.nodes[id] = { ...before.nodes[id], ...changes };
      scene.changed[id] = Object.keys(changes);
    }
  }
  if (event.cuts) scene.cuts = event.cuts;
  if (event.decisions) scene.decisions = event.decisions;
  if (event.sent.length || event.gone.length || LANDS.has(event.kind)) {
    scene.flying = new Map(before.flying);
    for (const one of event.sent) {
      if (one.lost) scene.fallen.push({ flight: one, time: one.sent, why: one.lost === "cut" ? "link cut" : "lost", flies: true });
      else scene.flying.set(one.id, one);
    }
    const landed = LANDS.has(event.kind) && before.flying.get(event.message);
    if (landed) {
      scene.flying.delete(landed.id);
      if (event.kind !== "receive") scene.fallen.push({ flight: landed, time: event.time, why: fallWords(event, landed), flies: false });
    }
    for (const [id, why] of event.gone) {
      scene.fallen.push({ flight: scene.flying.get(id), time: event.time, why, flies: false });
      scene.flying.delete(id);
    }
  }
  return scene;
}

function fallWords(event, flight) {
  if (event.kind === "drop") return "dropped";
  return /cut/.test(event.text) ? "link cut" : `${name(flight.dst)} is down`;
}

// ---------------------------------------------------------------------------------------------------- where we are

/** The playhead: branch, event and time; it moves by steps, by scrubbing and by playing, and tells its listeners. */
class Player {
  constructor(store, listeners) {
    this.store = store; this.listeners = listeners;
    const { branch, event, time } = store.board.place;
    this.branch = branch; this.event = event; this.time = time;
    this.pace = 1; this.playing = false; this.quiet = false; this.waits = false;
    this.goal = null; this.frame = 0; this.reported = 0;
    this.calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  }

  get strip() { return this.store.strips.get(this.branch); }
  get last() { return this.strip.count - 1; }
  get start() { return this.strip.gone ? this.strip.times[0] : 0; }
  get scene() { return this.store.scene(this.branch, this.event); }
  timeOf(index) { return index < 0 ? 0 : this.store.event(this.branch, index)?.time; }

  /** Stand right after `index`. */
  go(index, branch = this.branch) {
    this.stop();
    this.branch = branch;
    const strip = this.strip;
    this.event = clamp(Math.min(0, strip.count - 1), index, strip.count - 1);
    this.time = this.timeOf(this.event) ?? this.time;
    this.arrive();
  }

  /** Stand right after `index` of a tape that grows: nobody moved, so nobody need be told at once. */
  follow(index) {
    this.event = this.strip.seen = index;
    this.time = this.timeOf(index) ?? this.strip.end;
    this.report();
  }

  /** Stand at a time, which may be between two events. */
  async seek(time) {
    this.stop();
    const strip = this.strip;
    this.time = clamp(this.start, time, strip.end);
    this.event = lastAtMost(strip.times, this.time, (one) => one);
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

  back() { this.go(this.time > (this.timeOf(this.event) ?? 0) + 1e-9 ? this.event : this.event - 1); }

  toggle() {
    if (this.playing) return this.go(this.event);
    this.goal = null;
    this.playing = true;
    this.run();
    this.listeners.paint();
  }

  /** Something arrived: take the step for which it was lacking. */
  resume() { if (this.waits) this.step(); }

  stop() { this.playing = false; this.goal = null; this.quiet = false; this.waits = false; }

  run() {
    if (this.frame) return;
    let before = performance.now();
    const tick = (now) => {
      this.frame = 0;
      const passed = Math.min(now - before, 100) / 1000;
      before = now;
      this.move(passed);
      if (this.playing || this.goal != null) this.frame = requestAnimationFrame(tick);
    };
    this.frame = requestAnimationFrame(tick);
  }

  /** Let `passed` seconds go by in front of the screen. */
  move(passed) {
    if (this.calm && this.goal == null) return this.leap(passed);
    let time = this.time + passed * this.rate();
    const stop = this.goal ?? this.last;
    let moved = false;
    while (this.event < stop) {
      const next = this.timeOf(this.event + 1);
      if (next == null || next > time) break;
      this.event += 1;
      moved = true;
      if (this.event === this.goal) { this.goal = null; time = next; break; }
    }
    if (this.event >= this.last && this.goal == null) {
      time = Math.min(time, this.timeOf(this.event) ?? time);
      if (!this.ask()) this.stop();
    } else if (this.timeOf(this.event + 1) == null) time = this.time;
    this.time = Math.max(time, this.timeOf(this.event) ?? 0);
    if (moved) this.arrive(); else this.listeners.animate();
  }

  /** Who wants no motion sees one event after the other, each for a while. */
  leap(passed) {
    this.rested = (this.rested ?? 0) + passed;
    if (this.rested < 0.7 * this.pace) return;
    this.rested = 0;
    const next = this.event < this.last ? this.timeOf(this.event + 1) : null;
    if (next == null) { if (this.event >= this.last && !this.ask()) this.stop(); return this.listeners.animate(); }
    this.event += 1;
    this.time = next;
    this.arrive();
  }

  /** Virtual seconds for one in front of the screen: a flight takes `pace`; where nothing flies time goes faster. */
  rate() {
    const flight = this.store.board.flight, scene = this.scene;
    const next = this.timeOf(this.event + 1) ?? this.time;
    const base = flight / this.pace;
    this.quiet = false;
    if (this.goal != null) return Math.max(base, (next - this.time) / 0.45, flight * 1.2);
    if (this.playing && scene && scene.flying.size === 0 && next - this.time > flight) { this.quiet = true; return base * 8; }
    return base;
  }

  arrive() {
    const strip = this.strip;
    strip.seen = Math.max(strip.seen, this.event);
    this.listeners.paint();
    this.ask();
    this.report();
  }

  /** Tell the other side what is shown, now and then. */
  report() {
    const now = performance.now();
    if (now - this.reported > 150 || !(this.playing || this.store.board.live)) {
      this.reported = now;
      this.store.link.send({ do: "seen", branch: this.branch, event: this.event, time: this.time });
    }
  }

  /** Ask for more future where it runs short; false where there can be none. */
  ask() {
    if (!this.store.board.grows) return false;
    const strip = this.strip;
    const known = `${strip.name}/${strip.version}/${strip.count}`;
    if (strip.count - this.event < REEL && strip.count < strip.limit && this.wanted !== known) {
      this.wanted = known;
      this.store.link.send({ do: "ahead", branch: this.branch, events: this.event + 3 * REEL });
    }
    return strip.count < strip.limit;
  }
}

// ---------------------------------------------------------------------------------------------------- the scene

/** Servers on a fixed ring, messages on their lanes, timers, votes, partitions. */
class SceneView {
  constructor(lab) {
    this.lab = lab;
    this.nodes = new Map(); this.messages = new Map(); this.places = new Map();
    this.title = h("h3");
    this.sub = h("div", { class: "rl-sub" });
    this.svg = s("svg", { role: "group", "aria-label": "Servers", height: 380, width: "100%" });
    this.islands = s("g"); this.links = s("g"); this.rings = s("g"); this.flights = s("g"); this.fallen = s("g");
    this.over = s("svg", { class: "rl-over", role: "group", "aria-label": "Messages under way", width: "100%" }); // a layer of its own: what stands is not painted anew
    this.svg.append(this.islands, this.links, this.rings);
    this.over.append(this.fallen, this.flights);
    this.tally = h("div", { class: "rl-tally" });
    this.hand = h("div", { class: "rl-hand" });
    this.root = h("div", { class: "rl-card rl-scene" }, this.title, this.sub, h("div", { class: "rl-fill" }, this.svg, this.over), this.tally, this.hand);
  }

  /** Fit the ring into the room there is. */
  layout(width) {
    this.width = clamp(280, width, 620);
    this.height = clamp(310, this.width * 0.86, 420);
    this.fitted = null;
    for (const svg of [this.svg, this.over]) set(svg, { viewBox: `0 0 ${this.width} ${this.height}`, height: this.height });
  }

  arrange(ids) {
    const key = `${ids.join()}|${this.width}`;
    if (this.fitted === key) return;
    this.fitted = key;
    this.radius = ids.length > 7 ? 21 : ids.length > 5 ? 26 : 30;
    const wide = this.width / 2 - this.radius - 24, high = this.height / 2 - this.radius - 33;
    const across = Math.min(wide, high * 1.16), down = Math.min(high, wide * 1.16), odd = ids.length % 2 ? down * (1 - Math.cos(Math.PI / ids.length)) / 2 : 0;
    ids.forEach((id, place) => {
      const angle = -Math.PI / 2 + (2 * Math.PI * place) / ids.length;
      this.places.set(id, { x: this.width / 2 + across * Math.cos(angle), y: this.height / 2 + down * Math.sin(angle) + odd, angle });
    });
    if (this.ids !== ids.join()) { // servers are rebuilt only where others came or went: the focus stays
      this.ids = ids.join();
      this.nodes = new Map(ids.map((id) => [id, this.build(id)]));
      this.rings.replaceChildren(...this.nodes.values());
    }
    for (const [id, node] of this.nodes) { const { x, y } = this.places.get(id); set(node, { transform: `translate(${x} ${y})` }); }
  }

  build(id) {
    const { angle } = this.places.get(id), r = this.radius;
    const above = Math.sin(angle) < -0.05, label = above ? -r - 17 : r + 26;
    const x = above && Math.abs(Math.cos(angle)) > 0.3 ? 14 * Math.sign(Math.cos(angle)) : 0; // out of the way of what comes from the top
    const group = s("g", { class: "rl-node", tabindex: 0, role: "button", "data-id": id },
      s("circle", { class: "rl-circle", r: r + 7 }), s("path", { class: "rl-left" }),
      s("circle", { class: "rl-picked", r: r + 16 }), s("g", { class: "rl-arcs" }),
      s("circle", { class: "rl-ring", r: r + 3.6 }), s("circle", { class: "rl-body", r, pathLength: 188 }),
      s("g", { class: "rl-votes" }), s("path", { class: "rl-mark" }),
      s("text", { class: "rl-label", x, y: label }, s("tspan", { class: "rl-name" }, name(id)), " ", s("tspan", { class: "rl-role" })),
      " ", s("text", { class: "rl-extra", x, y: label + (above ? -15 : 14) }), " ", s("text", { class: "rl-word", y: 16 }, "term"), " ", s("text", { class: "rl-numeral", y: 4 }));
    group.addEventListener("click", (event) => this.lab.pickNode(id, event.shiftKey || event.ctrlKey || event.metaKey));
    group.addEventListener("contextmenu", (event) => { event.preventDefault(); this.lab.pickNode(id, false); this.lab.openMenu(event); });
    return group;
  }

  paint(scene) {
    const ids = Object.keys(scene.nodes).map(Number).sort((a, b) => a - b);
    this.arrange(ids);
    this.newest = Math.max(0, ...ids.map((id) => scene.nodes[id].term));
    for (const id of ids) this.paintNode(id, scene);
    this.paintLinks(ids, scene);
    this.paintDecision(scene);
    this.animate(scene);
  }

  /** What may be done to the chosen; while nothing is chosen, what the messages under way say. */
  paintHand(scene) {
    const { lab } = this, actions = lab.chosenActions(), flight = lab.message && findFlight(scene, lab.message);
    const chosen = flight ? `${flight.glyph}${flight.sign} ${name(flight.src)} → ${name(flight.dst)}` : [...lab.picked].map(name).join(", ");
    const key = chosen ? JSON.stringify([chosen, actions]) : [...scene.flying.keys(), lab.store.gate.held].join();
    if (key === this.handKey) return;
    this.handKey = key;
    if (chosen) return this.hand.replaceChildren(h("b", {}, chosen), lab.actionButtons(actions) || "");
    const kinds = new Map();
    for (const flight of scene.flying.values()) {
      const words = `${flight.kind}${flight.sign}`;
      kinds.set(words, { flight, count: (kinds.get(words)?.count ?? 0) + 1 });
    }
    const waiting = lab.isLive && lab.store.gate.held.length;
    this.hand.replaceChildren(...(waiting ? [h("b", {}, `${waiting} held: choose one (n), let it pass (o) or drop it (d)`)] : []), ...[...kinds].slice(0, 4).map(([words, { flight, count }]) => h("span", { class: "rl-under" }, messageIcon(flight), `${SAYS[words] ?? flight.kind}${count > 1 ? ` (${count})` : ""}`)));
  }

  paintNode(id, scene) {
    const state = scene.nodes[id], group = this.nodes.get(id), r = this.radius;
    if (isSame(group, [state, this.newest, governing(scene), this.lab.picked.has(id), r])) return;
    const still = !state.up || state.paused || state.halted;
    const member = isMember(id, scene), learner = state.role === "learner";
    const stale = state.role === "leader" && state.term < this.newest;
    set(group, {
      "data-role": state.role, "data-still": Boolean(still), "data-stale": stale, "data-member": member,
      "aria-pressed": this.lab.picked.has(id), "aria-label": nodeWords(id, state, scene, stale),
    });
    const part = (which) => group.querySelector(which);
    const size = learner ? r * 0.74 : r;
    const { fill, ink } = this.lab.termColour(state.term);
    set(part(".rl-body"), { r: size });
    part(".rl-body").style.fill = fill;
    set(part(".rl-ring"), { r: size + 3.6 });
    part(".rl-numeral").textContent = state.term;
    part(".rl-numeral").style.fill = ink;
    part(".rl-word").style.fill = ink;
    part(".rl-role").textContent = roleWord(state, stale, member);
    part(".rl-extra").textContent = extraWords(id, state, scene);
    this.paintVotes(part(".rl-votes"), id, state, size);
    this.paintArcs(part(".rl-arcs"), id, scene, r);
    part(".rl-mark").setAttribute("d", !state.up ? "M-9 -9 9 9M9 -9 -9 9" : state.paused ? "M-5 -10V10M5 -10V10" : "");
    part(".rl-numeral").style.display = still ? "none" : "";
    part(".rl-word").style.display = still || state.granted || learner ? "none" : "";
    set(part(".rl-numeral"), { y: state.granted || learner ? 7 : 4 });
  }

  /** The votes lie in the candidate as the voters lie on the ring: full = granted, crossed = refused, open = not yet. */
  paintVotes(group, id, state, size) {
    if (!state.granted || !state.up) return group.replaceChildren();
    const sets = state.members.sets.flat(), granted = new Set(state.granted), refused = new Set(state.refused);
    group.replaceChildren(...[...new Set(sets)].map((voter) => {
      const { angle } = this.places.get(voter) ?? { angle: 0 }, x = (size - 8) * Math.cos(angle), y = (size - 8) * Math.sin(angle);
      if (refused.has(voter)) return s("path", { class: "rl-vote", d: `M${x - 3.4} ${y}h6.8`, "stroke-width": 2.6, stroke: INK });
      return s("circle", { class: "rl-vote", cx: x, cy: y, r: 3.8, style: `fill:${granted.has(voter) ? INK : "none"};stroke:${INK}` });
    }));
  }

  /** While membership is joint: the old set's inner arc at the left of its members, the new set's outer, dotted one at the right. */
  paintArcs(group, id, scene, r) {
    const sets = governing(scene)?.sets ?? [];
    if (sets.length < 2) return group.replaceChildren();
    const arc = (side, extra) => {
      const from = 0.62, R = r + (side < 0 ? 12.5 : 16.5), x = side * R * Math.cos(from), y = R * Math.sin(from);
      return s("path", { class: `rl-arc ${extra}`, d: `M${x} ${-y}A${R} ${R} 0 0 ${side > 0 ? 1 : 0} ${x} ${y}` });
    };
    group.replaceChildren(...[sets[0].includes(id) && arc(-1, ""), sets.at(-1).includes(id) && arc(1, "rl-new")].filter(Boolean));
  }

  paintLinks(ids, scene) {
    const cut = new Set(scene.cuts.map(([a, b]) => `${a}>${b}`));
    const key = `${this.ids}|${[...cut].join()}|${this.width}`;
    if (key === this.linkKey) return;
    this.linkKey = key;
    const groups = cut.size ? islands(ids, cut) : [ids], drawn = [];
    for (const a of ids) for (const b of ids) {
      const together = groups.some((group) => group.includes(a) && group.includes(b));
      if (a < b) drawn.push(...this.link(a, b, cut.has(`${a}>${b}`), cut.has(`${b}>${a}`), together));
    }
    this.links.replaceChildren(...drawn);
    this.islands.replaceChildren(...(groups.length > 1 ? groups.flatMap((group) => this.shade(group)) : []));
  }

  /** A link: broken where it is cut, with bars unless shading tells it already; one bar on the lane that alone is closed. */
  link(a, b, there, back, together) {
    const from = this.places.get(a), to = this.places.get(b), line = (p, q) => s("path", { class: "rl-link", d: `M${along(from, to, p)}L${along(from, to, q)}` });
    if (!there && !back) return [line(0, 1)];
    if (there && back) return [line(0, 0.42), line(0.58, 1), ...(together ? [bar(from, to, 0.42, 0), bar(from, to, 0.58, 0)] : [])];
    return [line(0, 1), there ? bar(from, to, 0.5, LANE) : bar(to, from, 0.5, LANE)];
  }

  /** An island: its servers on common ground, with a shore. */
  shade(group) {
    const points = group.map((id) => this.places.get(id));
    const path = points.map(({ x, y }, place) => `${place ? "L" : "M"}${x} ${y}`).join("") + (points.length === 1 ? "h0.1" : "Z");
    const ground = (cls, width) => s("path", { class: cls, d: path, "stroke-width": 2 * (this.radius + width) });
    return [ground("rl-shore", 12.5), ground("rl-island", 11)];
  }

  paintDecision(scene) {
    const found = scene.decisions, first = found[0], elected = first && this.lab.player.strip.terms[`${first.term}.${first.by}`];
    if (isSame(this.tally, [found, elected, !first && waiting(scene)])) return;
    const leads = first?.what === "leads" || (first?.what === "commit" && first.sets.length === 1);
    this.title.replaceChildren(found.length > 1 ? rivals(found) : first?.title ?? "Nobody leads", leads && elected ? h("span", { class: "rl-why" }, ` elected by ${elected.yes.map(name).join(", ")}`) : "");
    this.sub.textContent = (found.length > 1 ? first.line.replace(/^it /, "each ") : first?.line) ?? waiting(scene);
    const rows = found.flatMap((one) => tallies(one, elected).map((tally, place) => [one, tally, place])).slice(0, 4);
    this.tally.replaceChildren(...rows.map(([decision, tally, place]) => this.tallied(decision, tally, place, found.length > 1)));
  }

  /** One voter set as chips: who of it agrees, who refuses, and whether that is enough. */
  tallied(decision, tally, place, isOneOfMany) {
    const yes = new Set(tally.yes), no = new Set(tally.no), whole = tally.name === "voters", label = [isOneOfMany && name(decision.by), !(whole && isOneOfMany) && (whole && decision.what === "commit" ? "on disk" : tally.name)].filter(Boolean).join(" ");
    const sample = whole ? null : s("svg", { width: 26, height: 8, "aria-hidden": "true" }, s("path", { class: `rl-arc ${place ? "rl-new" : ""}`, d: "M2 4H24" }));
    return h("div", {}, h("span", { class: "rl-set" }, sample, label),
      tally.of.map((id) => h("span", { class: `rl-chip ${yes.has(id) ? "rl-yes" : no.has(id) ? "rl-no" : ""}`, role: "img", "aria-label": `${name(id)} ${chipWord(decision.what, yes.has(id), no.has(id))}` }, name(id))),
      h("span", { class: "rl-count" }, tallyWords(decision.what, tally)));
  }

  /** What moves: messages and timers. */
  animate(scene) {
    const now = this.lab.player.time;
    this.moveMessages(scene, now);
    this.moveFallen(scene, now);
    if (!this.lab.player.playing || (this.frames = (this.frames ?? 0) + 1) % 4 === 0) for (const [id, group] of this.nodes) this.moveClock(scene.nodes[id], group, now);
  }

  moveClock(state, group, now) {
    const track = group.children[0], left = group.children[1], r = this.radius + 7;
    const clock = state.up && !state.halted ? state.clock : null;
    const shown = Boolean(clock) && state.role !== "leader";
    track.style.display = left.style.display = shown ? "" : "none";
    if (!shown) return;
    const ends = clock[1] ?? clock[0] + state.longest, longest = Math.max(state.longest, ends - clock[0]), round = 2 * Math.PI * r;
    const drawn = (ends - clock[0]) / longest, rest = state.paused ? drawn : clamp(0, (ends - now) / longest, 1);
    if (track.dataset.drawn !== String(clock[0])) {
      track.dataset.drawn = clock[0];
      set(track, { "stroke-dasharray": `${round * drawn} ${round}`, transform: "rotate(-90)" });
      group.classList.remove("rl-drawn"); void track.getBBox; group.classList.add("rl-drawn");
    }
    left.setAttribute("d", arcPath(r, rest));
  }

  moveMessages(scene, now) {
    const seen = new Set(), queues = this.lab.heldQueues(scene);
    for (const flight of scene.flying.values()) {
      const from = this.places.get(flight.src), to = this.places.get(flight.dst), queue = queues.get(`${flight.src}>${flight.dst}`) ?? [];
      const turn = queue.indexOf(flight.id), isPicked = this.lab.message === flight.id;
      if (!from || !to || (turn >= QUEUE && !isPicked)) continue;
      seen.add(flight.id);
      let mark = this.messages.get(flight.id);
      if (!mark) this.messages.set(flight.id, (mark = this.buildMessage(flight)));
      const due = flight.due ?? flight.sent + this.lab.store.board.flight;
      const part = turn >= 0 ? 0.74 - 0.17 * Math.min(turn, QUEUE) : clamp(0, (now - flight.sent) / Math.max(due - flight.sent, 1e-9), flight.due == null ? 0.93 : 1);
      const { x, y } = lane(from, to, this.lab.player.calm && turn < 0 ? 0.5 : part, this.radius);
      mark.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      this.dress(mark, isPicked, turn === 0 ? "‖" : turn === QUEUE - 1 && queue.length > QUEUE ? `+${queue.length - QUEUE}` : "");
    }
    for (const [id, mark] of this.messages) if (!seen.has(id)) { mark.remove(); this.messages.delete(id); }
  }

  /** Where a message stands still for those who want no motion, an arrow says where it goes. */
  arrow(flight) {
    if (!this.lab.player.calm) return null;
    const from = this.places.get(flight.src), to = this.places.get(flight.dst), angle = Math.atan2(to.y - from.y, to.x - from.x);
    return s("path", { class: "rl-arrow", d: "M14 -5l9 5-9 5z", transform: `rotate(${(angle * 180) / Math.PI})` });
  }

  /** What changes of a message's mark while it is under way; only what did change is touched. */
  dress(mark, isPicked, held) {
    const now = `${isPicked}${held}`;
    if (mark.dressed === now) return;
    mark.dressed = now;
    mark.setAttribute("aria-pressed", isPicked);
    mark.lastChild.textContent = held;
  }

  buildMessage(flight) {
    const mark = s("g", { class: "rl-message", role: "button", tabindex: -1, "aria-label": `${messageWords(flight)} ${messageLabel(flight)}` },
      s("title", {}, messageWords(flight)), " ", s("circle", { class: "rl-reach", r: 16 }), messageMark(flight), this.arrow(flight), s("text", { class: "rl-held", y: -13 }));
    mark.addEventListener("click", () => this.lab.pickMessage(flight.id));
    mark.addEventListener("contextmenu", (event) => { event.preventDefault(); this.lab.pickMessage(flight.id); this.lab.openMenu(event); });
    this.flights.append(mark);
    return mark;
  }

  /** Messages that will never arrive: they stop where they were lost, with a cross. */
  moveFallen(scene, now) {
    const flight = this.lab.store.board.flight, words = new Set();
    const marks = scene.fallen.toReversed().map((one) => {
      const from = this.places.get(one.flight.src), to = this.places.get(one.flight.dst);
      if (!from || !to) return null;
      const due = one.flight.due ?? one.flight.sent + flight;
      const end = one.flies ? 0.55 : one.why === "dropped" || one.why === "link cut" ? clamp(0.1, (one.time - one.flight.sent) / (due - one.flight.sent), 0.9) : 0.96;
      const part = one.flies ? Math.min(end, (now - one.flight.sent) / flight) : end;
      const { x, y } = lane(from, to, part, this.radius);
      if (part < end) return s("g", { transform: `translate(${x} ${y})` }, messageMark(one.flight));
      const isNew = !words.has(one.why) && words.add(one.why); // each word once, at the newest: many would cover the scene
      return s("g", { class: "rl-lost", transform: `translate(${x} ${y})` }, s("path", { d: "M-6 -6 6 6M6 -6 -6 6" }), isNew && s("text", { y: 19 }, one.why));
    });
    if (marks.length || this.fallen.firstChild) this.fallen.replaceChildren(...marks.filter(Boolean));
  }
}

/** A message's mark: a letter for its kind, filled for requests, hollow with + or − for answers, small for heartbeats. */
function messageMark(flight) {
  const beat = flight.glyph === "H", label = messageLabel(flight);
  const size = Math.min(10.5, 25 / label.length); // of many characters each is smaller
  return s("g", { class: `rl-glyph ${flight.answer ? "rl-answer" : ""} ${beat ? "rl-beat" : ""}` },
    s("circle", { r: beat ? 5 : 11 }), s("text", { y: 0.36 * size, "font-size": size.toFixed(1) }, label));
}

const messageIcon = (flight) => s("svg", { width: 20, height: 20, viewBox: "-12.5 -12.5 25 25", "aria-hidden": "true" }, messageMark(flight));

/** A point on the way from one server to another: the lane bends to the right, and ends at the borders. */
function lane(from, to, part, radius) {
  const dx = to.x - from.x, dy = to.y - from.y, length = Math.hypot(dx, dy) || 1;
  const edge = (radius + 10) / length, along = edge + (1 - 2 * edge) * part, bend = 4 * LANE * part * (1 - part) + 4;
  return { x: from.x + dx * along - (dy / length) * bend, y: from.y + dy * along + (dx / length) * bend };
}

const along = (from, to, part) => `${from.x + (to.x - from.x) * part} ${from.y + (to.y - from.y) * part}`;

/** A short bar across a link, `aside` to its right. */
function bar(from, to, part, aside) {
  const dx = to.x - from.x, dy = to.y - from.y, d = Math.hypot(dx, dy), x = from.x + dx * part - (dy / d) * aside, y = from.y + dy * part + (dx / d) * aside;
  return s("path", { class: "rl-cutmark", d: `M${x - (dy / d) * 8} ${y + (dx / d) * 8}L${x + (dy / d) * 8} ${y - (dx / d) * 8}` });
}

function arcPath(r, part) {
  if (part <= 0.001) return "";
  if (part >= 0.999) return `M0 ${-r}A${r} ${r} 0 1 1 -0.01 ${-r}`;
  const angle = 2 * Math.PI * part;
  return `M0 ${-r}A${r} ${r} 0 ${part > 0.5 ? 1 : 0} 1 ${r * Math.sin(angle)} ${-r * Math.cos(angle)}`;
}

/** Who can still hear whom, both ways: groups of servers. */
function islands(ids, cut) {
  const left = new Set(ids), found = [];
  while (left.size) {
    const group = [left.values().next().value];
    left.delete(group[0]);
    for (const a of group) for (const b of [...left]) if (!cut.has(`${a}>${b}`) || !cut.has(`${b}>${a}`)) { group.push(b); left.delete(b); }
    found.push(group);
  }
  return found;
}

/** The membership that whoever decides goes by. */
function governing(scene) {
  const by = scene.decisions[0]?.by ?? Object.keys(scene.nodes)[0];
  return scene.nodes[by]?.members;
}

function isMember(id, scene) {
  const members = governing(scene);
  return !members || members.sets.length === 0 || members.sets.flat().includes(id) || members.learners.includes(id);
}

function roleWord(state, stale, member) {
  if (!state.up) return state.silent ? "not heard of" : "down";
  if (state.halted) return "halted";
  if (state.paused) return "paused";
  if (stale) return "leader of old";
  if (state.role === "learner" && !member) return "no member";
  return { precandidate: "pre-candidate" }[state.role] ?? state.role;
}

function extraWords(id, state, scene) {
  if (!state.up || state.paused) return "";
  const voted = state.role === "follower" && state.vote && !state.leader && state.vote !== id;
  const words = [state.incoming && "snapshot arrives", state.rate !== 1 && `clock × ${state.rate}`, voted && `voted for ${name(state.vote)}`, !isMember(id, scene) && state.role !== "learner" && "no member any more"];
  return words.find(Boolean) || "";
}

function nodeWords(id, state, scene, stale) {
  const still = !state.up || state.paused || state.halted, term = still ? "" : state.granted || state.role === "learner" ? state.term : `term ${state.term}`;
  const drawn = [name(id), roleWord(state, stale, isMember(id, scene)), extraWords(id, state, scene), term].filter((word) => word !== "").join(" "); // as it is written on the scene
  const votes = state.granted ? `, ${state.granted.length} votes of ${new Set(state.members.sets.flat()).size}` : "";
  return `${drawn}${votes}, log to ${state.log.last}, committed to ${state.commit}`;
}

const messageLabel = (flight) => (flight.answer ? flight.glyph + flight.sign : flight.glyph + (flight.entries || ""));
const messageWords = (flight) => `${flight.name}, from ${name(flight.src)} to ${name(flight.dst)}`;

/** Several at once who want to lead, or do. */
function rivals(found) {
  if (found.some((one) => one.what === "leads" || one.what === "commit")) return found.map((one) => one.title).join("; ");
  const names = found.map((one) => name(one.by));
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)} ${found.length > 2 ? "all" : "both"} want to lead term ${found[0].term}`;
}

/** What to count for a decision, set by set; for a leadership: the election that brought it about, if it was seen. */
function tallies(decision, elected) {
  if (decision.what !== "leads") return decision.sets;
  return (elected?.sets ?? []).map((of, place) => ({ name: elected.sets.length > 1 ? ["C-old", "C-new"][place] : "voters", of, yes: of.filter((id) => elected.yes.includes(id)), no: [], need: Math.floor(of.length / 2) + 1 }));
}

function waiting(scene) {
  const up = Object.values(scene.nodes).filter((state) => state.up);
  return up.length ? "each follower waits: whoever's time runs out first asks for votes" : "no server is up";
}

function chipWord(what, yes, no) {
  if (what === "commit") return yes ? "has it on disk" : "has it not yet";
  return yes ? "voted yes" : no ? "voted no" : "has not answered";
}

function tallyWords(what, { yes, of, need }) {
  if (what === "leads") return `${yes.length} of ${of.length} voted for it`;
  return `${yes.length} of ${of.length}${yes.length >= need ? ", enough" : `, ${need} needed`}`;
}

// ---------------------------------------------------------------------------------------------------- the logs

const CELL = 36, HALF = 16;

/** All logs, aligned by index, in one window that slides. */
class LogsView {
  constructor(lab) {
    this.lab = lab; this.right = null;
    this.svg = s("svg", { role: "img", width: "100%" });
    this.earlier = h("button", { class: "rl-button", type: "button", "aria-label": "Earlier entries", onclick: () => this.slide(-6) }, "◂");
    this.later = h("button", { class: "rl-button", type: "button", "aria-label": "Later entries", onclick: () => this.slide(6) }, "▸");
    const cell = (cls) => s("g", { class: `rl-cell ${cls}` }, s("rect", { x: 1.5, y: 1.5, width: 11, height: 11, rx: 2, fill: "none" }));
    this.legend = [ // what marks mean, and where they are found: only those in sight are explained
      [".rl-done", cell("rl-done"), "committed"], [".rl-cell:not(.rl-done)", cell(""), "not yet"], [".rl-wet", cell("rl-pale"), "not on disk yet"],
      [".rl-match", s("circle", { class: "rl-match", cx: 7, cy: 7, r: 3.5 }), "matches the leader's"],
      [".rl-next", s("path", { class: "rl-next", d: "M7 3l4.5 8h-9z" }), "is sent next"],
      [".rl-digest", s("g", { transform: "translate(1 1)" }, digestMark("legend")), "same picture, same state"],
    ].map(([where, mark, words]) => [where, h("span", {}, s("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark), words)]);
    this.slider = h("span", { class: "rl-slide" }, this.earlier, this.later);
    this.root = h("div", { class: "rl-card rl-logs" }, h("h3", {}, "Logs"), h("div", { class: "rl-sub" }), h("div", { class: "rl-fill", style: "padding-top:10px" }, this.svg), h("div", { class: "rl-legend" }, this.legend.map(([, one]) => one), this.slider));
    this.svg.addEventListener("wheel", (event) => { if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) { event.preventDefault(); this.slide(Math.sign(event.deltaX + event.deltaY)); } }, { passive: false });
  }

  layout(width) {
    this.width = Math.max(280, width);
    this.columns = Math.max(5, Math.floor((this.width - 56) / CELL));
    this.isBeside = this.root.offsetTop === this.lab.scene.root.offsetTop;
    this.key = this.svg.shown = null;
  }

  slide(by) {
    const newest = this.newest();
    const right = clamp(this.columns, (this.right ?? newest) + by, newest);
    this.right = right >= newest ? null : right;
    this.key = this.svg.shown = null;
    this.paint(this.lab.player.scene);
  }

  newest() {
    const scene = this.lab.player.scene;
    return Math.max(this.columns, 1 + Math.max(0, ...Object.values(scene.nodes).map((state) => state.log.last)));
  }

  paint(scene) {
    const ids = Object.keys(scene.nodes).map(Number).sort((a, b) => a - b);
    const leader = ids.find((id) => scene.nodes[id].role === "leader" && id === scene.decisions[0]?.by);
    const right = this.right ?? this.newest(), first = right - this.columns + 1;
    if (isSame(this.svg, [scene.nodes, scene.decisions, right, this.width, this.lab.store.reels.size])) return;
    const key = JSON.stringify([first, leader, ids.map((id) => { const one = scene.nodes[id]; return [one.log, one.commit, one.stored, one.up, one.snapshot, one.incoming, one.digest, one.members.at]; }), leader && scene.nodes[leader].peers]);
    if (key === this.key) return;
    this.key = key;
    this.first = first;
    this.rowHeight = this.isBeside ? clamp(46, (this.lab.scene.height - 20) / ids.length, 64) : 52;
    const height = 30 + this.rowHeight * ids.length;
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height, "aria-label": logsWords(ids, scene) });
    this.svg.replaceChildren(this.head(first, right), ...ids.map((id, row) => this.row(id, row, scene, leader, first, right)), this.commitLine(ids, scene, leader, first, right, height));
    for (const [where, one] of this.legend) one.classList.toggle("rl-hidden", !this.svg.querySelector(where));
    this.root.children[1].textContent = membershipWords(scene);
    this.earlier.disabled = first <= 1;
    this.later.disabled = this.right == null;
    this.slider.classList.toggle("rl-hidden", this.earlier.disabled && this.later.disabled);
  }

  x(index) { return 52 + (index - this.first + 0.5) * CELL; }

  head(first, right) {
    const labels = [];
    for (let index = Math.max(1, first); index <= right; index += 1) labels.push(s("text", { x: this.x(index), y: 22 }, index));
    if (first > 1) labels.push(s("text", { x: 44, y: 22, style: "text-anchor:end" }, `${first - 1} before`));
    return s("g", { class: "rl-scale" }, labels);
  }

  row(id, row, scene, leader, first, right) {
    const state = scene.nodes[id], y = 30 + row * this.rowHeight, group = s("g", {});
    group.append(s("text", { class: `rl-row ${state.up ? "" : "rl-off"}`, x: 0, y: y + 17 }, name(id)), ...this.machine(state, y));
    const cells = entriesOf(state.log, Math.max(first, 1), right);
    for (const [index, term, by] of cells) group.append(this.cell(index, term, by, state, y));
    const hidden = state.log.start;
    if (state.incoming) group.append(this.incoming(state, y, first));
    else if (hidden >= first) group.append(this.snapshot(y, first, hidden));
    group.append(...this.joint(state, y, first, right));
    if (leader && leader !== id && scene.nodes[leader].up) group.append(...this.marks(scene.nodes[leader].peers?.find((one) => one.peer === id), y, first, right));
    return group;
  }

  /** Equal state machines have equal little pictures. */
  machine(state, y) {
    if (!state.digest || !state.up) return [];
    return [s("g", { transform: `translate(24 ${y + 6})` }, s("title", {}, `state machine: ${state.holds || "empty"} (${state.digest})`), s("rect", { width: 12, height: 12, fill: "transparent" }), digestMark(state.digest))];
  }

  cell(index, term, by, state, y) {
    const { fill, ink } = this.lab.termColour(term), entry = this.lab.store.book[`${index}.${term}.${by}`], label = clip(entry?.[0] ?? "");
    const done = index <= state.commit, wet = index > state.stored, sets = this.governs(state, index)?.sets;
    const words = [`entry ${index}, term ${term}${entry ? `: ${entry[0]}` : ""}`, done ? "committed" : "not known to be committed", wet && "not on disk yet", sets?.length && `governed by ${sets.map(braces).join(" + ")}`];
    return s("g", { class: `rl-cell ${done ? "rl-done" : ""} ${wet ? "rl-wet" : ""}` },
      s("title", {}, words.filter(Boolean).join("; ")),
      s("rect", { x: this.x(index) - HALF, y, width: 2 * HALF, height: 32, rx: 5, style: `fill:${wet ? `color-mix(in srgb, ${fill} 42%, #fff)` : fill}` }),
      s("text", { class: "rl-n", x: this.x(index), y: y + 16, style: `fill:${ink}` }, term),
      s("text", { class: "rl-l", x: this.x(index), y: y + 27, style: `fill:${ink};font-size:${Math.min(8.5, 45 / label.length)}px` }, label));
  }

  snapshot(y, first, last) {
    const left = this.x(Math.max(first, 1)) - HALF, right = this.x(last) + HALF, middle = (left + right) / 2;
    return s("g", { class: "rl-snap" }, s("rect", { x: left, y, width: right - left, height: 32, rx: 5 }),
      s("text", { x: middle, y: y + 20 }, right - left > 76 ? `snapshot to ${last}` : "snap"));
  }

  incoming(state, y, first) {
    const [offset, size, last] = state.incoming, count = Math.ceil(size / state.chunk), done = Math.floor(offset / state.chunk);
    const shown = Math.min(count, 12), left = this.x(Math.max(first, 1)) - HALF, width = Math.max(128, this.x(last) + HALF - left);
    const bars = Array.from({ length: shown }, (_, place) => s("rect", { class: `rl-chunk ${place < Math.round((done / count) * shown) ? "" : "rl-empty"}`, x: left + 8 + place * ((width - 16) / shown), y: y + 19, width: (width - 16) / shown - 2, height: 8, style: "stroke-width:1" }));
    return s("g", { class: "rl-snap" }, s("rect", { x: left, y, width, height: 32, rx: 5 }),
      s("text", { x: left + width / 2, y: y + 13 }, `snapshot to ${last}: ${done} of ${count}`), ...bars);
  }

  /** A double line above entries that are governed by two voter sets. */
  joint(state, y, first, right) {
    const lines = [];
    for (let index = Math.max(first, 1); index <= Math.min(right, state.log.last); index += 1) {
      if (this.governs(state, index)?.sets.length > 1) lines.push(s("path", { class: "rl-joint", d: `M${this.x(index) - CELL / 2} ${y - 6.5}h${CELL}M${this.x(index) - CELL / 2} ${y - 3.5}h${CELL}` }));
    }
    return lines;
  }

  governs(state, index) {
    for (let place = index; place > state.log.start; place -= 1) {
      const run = state.log.runs[lastAtMost(state.log.runs, place, (one) => one[0])];
      const entry = run && this.lab.store.book[`${place}.${run[1]}.${run[2]}`];
      if (entry?.[2]) return entry[2];
      if (!entry) return null;
    }
    return null;
  }

  marks(peer, y, first, right) {
    if (!peer) return [];
    const inside = (index) => index >= Math.max(first, 1) && index <= right, below = y + 40;
    return [
      inside(peer.matched) && s("circle", { class: "rl-match", cx: this.x(peer.matched), cy: below, r: 3 }),
      inside(peer.next) && s("path", { class: "rl-next", d: `M${this.x(peer.next)} ${below - 4}l4.5 7.5h-9z` }),
    ].filter(Boolean);
  }

  commitLine(ids, scene, leader, first, right, height) {
    const at = leader ? scene.nodes[leader].commit : Math.max(0, ...ids.map((id) => scene.nodes[id].commit));
    if (at < first || at > right || at === 0) return s("g");
    const x = this.x(at) + CELL / 2;
    return s("g", { class: "rl-scale" }, s("line", { class: "rl-commit", x1: x, x2: x, y1: 10, y2: height - 14 }), s("text", { x: x - 3, y: 8, style: "text-anchor:end;font-weight:700;fill:var(--rl-ink)" }, "committed"));
  }
}

/** `[index, term, leader]` of each entry in a log between two indexes. */
function entriesOf(log, first, right) {
  const found = [];
  let run = lastAtMost(log.runs, Math.max(first, log.start + 1), (one) => one[0]);
  for (let index = Math.max(first, log.start + 1); index <= Math.min(right, log.last); index += 1) {
    while (log.runs[run + 1]?.[0] <= index) run += 1;
    if (log.runs[run]) found.push([index, log.runs[run][1], log.runs[run][2]]);
  }
  return found;
}

/** A little picture of a state machine's fingerprint, the same for equal ones. */
function digestMark(digest) {
  const bits = hash(digest), dots = [];
  for (let place = 0; place < 15; place += 1) if ((bits >> place) & 1) {
    const column = place % 3, line = Math.floor(place / 3);
    for (const x of column === 2 ? [2] : [column, 4 - column]) dots.push(`M${x * 2.4} ${line * 2.4}h2.4v2.4h-2.4z`);
  }
  return s("path", { class: "rl-digest", d: dots.join("") });
}

function hash(text) {
  let bits = 0x811c9dc5;
  for (const letter of text) bits = Math.imul(bits ^ letter.codePointAt(0), 0x01000193);
  return (bits ^ (bits >>> 15)) >>> 0;
}

const clip = (text) => (text.length > 6 ? `${text.slice(0, 5)}…` : text);

function logsWords(ids, scene) {
  return `Logs. ${ids.map((id) => `${name(id)}: ${scene.nodes[id].log.last} entries, committed to ${scene.nodes[id].commit}`).join("; ")}`;
}

const braces = (set) => `{${set.join(",")}}`;

function membershipWords(scene) {
  const members = governing(scene);
  if (!members || !members.sets.length) return "no cluster yet";
  const learners = members.learners.length ? `, learning: ${members.learners.map(name).join(", ")}` : "";
  if (members.sets.length > 1) return `joint ${members.sets.map(braces).join(" + ")} since entry ${members.at}${learners}`;
  return `${members.sets[0].length} voters ${braces(members.sets[0])}${learners}`;
}

// ---------------------------------------------------------------------------------------------------- the inspector

/** What is behind it: the chosen server or message, or else the event and the rule that decided it. */
class InspectorView {
  constructor(lab) {
    this.lab = lab;
    this.root = h("aside", { class: "rl-card rl-inspector", "aria-label": "Inspector", tabindex: 0, onscroll: () => { this.scrolled = this.root.scrollTop; } });
  }

  paint(scene) {
    const { lab } = this, picked = [...lab.picked];
    const flight = lab.message && findFlight(scene, lab.message);
    const kept = this.scrolled; // asking the element would have the whole page laid out
    if (flight) this.root.replaceChildren(...this.message(flight));
    else if (picked.length === 1 && scene.nodes[picked[0]]) this.root.replaceChildren(...this.node(picked[0], scene));
    else if (picked.length > 1) this.root.replaceChildren(...this.group(picked), ...this.event(lab.player.event, "what just happened"));
    else this.root.replaceChildren(...this.event(lab.player.event));
    if (kept) this.root.scrollTop = kept;
  }

  rows(state, fields, changed) {
    return h("dl", { class: "rl-fields" }, fields.filter(([, value]) => value != null && value !== "").map(([label, value, keys]) => [
      h("dt", {}, label), h("dd", { class: keys?.some((key) => changed.has(key)) ? "rl-changed" : null }, String(value))]));
  }

  node(id, scene) {
    const state = scene.nodes[id], changed = new Set(scene.changed[id] ?? []);
    const snapshot = state.snapshot && `to ${state.snapshot[0]} (${state.snapshot[2]} bytes)`;
    const log = state.log.last > state.log.start ? `${state.log.start + 1}…${state.log.last}` : "empty";
    const parts = [
      h("h3", {}, `${name(id)} `, h("span", { style: "font-weight:400" }, `${roleWord(state, false, isMember(id, scene))}${state.role === "leader" ? ` of term ${state.term}` : ""}`)),
      h("div", {}, h("h4", {}, "on disk: survives a crash"), this.rows(state, [
        ["term", state.term, ["term"]], ["voted for", state.vote ? name(state.vote) : "nobody", ["vote"]], ["log", log, ["log"]],
        ["synced to", state.stored, ["stored"]], ["snapshot", snapshot, ["snapshot"]]], changed)),
      state.up && h("div", {}, h("h4", {}, "in memory: gone after a crash"), this.rows(state, [
        ["role", state.role, ["role"]], ["leader", state.leader ? name(state.leader) : "unknown", ["leader"]], ["commit", state.commit, ["commit"]], ["applied", state.applied, ["applied"]],
        ["machine", state.holds || "empty", ["holds"]], ["votes", state.granted && state.granted.map(name).join(" "), ["granted"]], ["refused", state.refused?.length ? state.refused.map(name).join(" ") : null, ["refused"]],
        ["round", state.round, ["round"]], ["lease", state.lease == null ? null : state.lease ? "holds" : "no", ["lease"]],
        ["arriving", state.incoming && `${state.incoming[0]} of ${state.incoming[1]} bytes`, ["incoming"]], ["clock", state.rate === 1 ? null : `× ${state.rate}`, ["rate"]]], changed)),
      state.peers && h("div", {}, h("h4", {}, "what it knows of the others"), h("dl", { class: "rl-fields" }, state.peers.map((one) => [h("dt", {}, name(one.peer)), h("dd", {}, peerWords(one))]))),
      state.halted && h("p", {}, state.halted),
    ];
    return [...parts.filter(Boolean), ...this.event(this.lastOf(id), `last at ${name(id)}`)];
  }

  /** The last event at a server, as far as it is at hand. */
  lastOf(id) {
    const { store, player } = this.lab;
    for (let index = player.event; index >= Math.max(0, player.event - 200); index -= 1) {
      const event = store.reels.get(`${player.branch}/${Math.floor(index / REEL)}`)?.events[index % REEL];
      if (!event) return -1;
      if (event.node === id) return index;
    }
    return -1;
  }

  group(ids) {
    return [h("h3", {}, ids.map(name).join(", ")), h("div", {}, "Chosen together: split them off, or (two of them) cut their link.")];
  }

  message(flight) {
    const { lab } = this, due = flight.due == null ? "under way" : seconds(flight.due);
    return [
      h("h3", {}, `${flight.glyph}${flight.sign} `, h("span", { style: "font-weight:400" }, flight.name)),
      h("dl", { class: "rl-fields" }, [["from", name(flight.src)], ["to", name(flight.dst)], ["left at", seconds(flight.sent)], ["arrives at", due], ...flight.says, ...(flight.copy ? [["copy of", `message ${flight.copy}`]] : [])].map(([label, value]) => [h("dt", {}, label), h("dd", {}, value)])),
      h("div", {}, h("h4", {}, "because"), this.chain(flight.cause)),
    ];
  }

  event(index, heading) {
    const { lab } = this, { store, player } = lab, event = index >= 0 ? store.event(player.branch, index) : null;
    if (!event) return [];
    const rule = event.rule && store.rules[event.rule];
    const parts = [heading ? h("h4", {}, `${heading}: event ${lab.number(event.id)}`) : h("h3", {}, `Event ${lab.number(event.id)}`, h("span", { style: "font-weight:400" }, event.node ? ` at ${name(event.node)}` : ""))];
    if (heading) parts.push(h("div", {}, event.text));
    if (rule) parts.push(h("div", {}, h("div", {}, h("b", {}, rule.label), h("span", { style: "color:var(--rl-muted)" }, ` ${rule.section}`)), h("div", { class: "rl-sub" }, rule.meaning)),
      h("div", {}, h("h4", {}, `decided in ${rule.where}: the marked lines ran`), this.code(rule, event.lit ?? [])));
    if (event.cause != null) parts.push(h("div", {}, h("h4", {}, "because"), this.chain(event.cause)));
    return parts;
  }

  code(rule, lit) {
    const lines = dedent(rule.lines), marked = new Set(lit);
    return h("pre", { class: "rl-code", tabindex: 0, role: "group", "aria-label": `Source of ${rule.where}` }, lines.map((line, place) => h("span", { class: marked.has(rule.first + place) ? "rl-lit" : null, style: `--rl-deep:${line.length - line.trimStart().length}` }, line.trimStart() || " ")));
  }

  /** The events that led here, newest first; each is a way back. */
  chain(cause) {
    const { store, player } = this.lab, items = [];
    for (let index = cause; index >= 0 && items.length < 6;) {
      const event = store.event(player.branch, index), at = index;
      if (!event) break;
      items.push(h("li", {}, h("button", { type: "button", title: "go there", onclick: () => player.go(at) }, h("small", {}, `${this.lab.number(event.id)} · `), plain(event.text))));
      index = event.cause;
    }
    return items.length ? h("ul", { class: "rl-chain" }, items) : h("div", { class: "rl-sub" }, "somebody outside decided it");
  }
}

function findFlight(scene, id) {
  return scene.flying.get(id) ?? scene.fallen.find((one) => one.flight.id === id)?.flight;
}

function peerWords(one) {
  if (one.pace === "snapshot") return `snapshot ${one.offset} of ${one.size} bytes`;
  return `matched ${one.matched}, next ${one.next}${one.inflight ? `, ${one.inflight} in flight` : ""}${one.pace === "pipeline" ? "" : ` (${one.pace})`}`;
}

const plain = (text) => text.replace(/ \([^()]*§[^()]*\)(?=;|$)/g, "");

function dedent(lines) {
  const depth = Math.min(...lines.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(depth));
}

// ---------------------------------------------------------------------------------------------------- the tape

const TICKS = { // small pictures for what stands out
  election: ["path", { class: "rl-solid", d: "M0 -5 5 0 0 5 -5 0z" }], crash: ["path", { d: "M-4 -4 4 4M4 -4 -4 4" }], restart: ["path", { d: "M-4 3 0 -4 4 3z" }],
  silent: ["path", { d: "M-4 -4 4 4M4 -4 -4 4" }], heard: ["path", { d: "M-4 3 0 -4 4 3z" }],
  pause: ["path", { d: "M-2.5 -4V4M2.5 -4V4" }], resume: ["path", { d: "M-3 -4 4 0 -3 4z" }], write: ["path", { d: "M0 -5V5" }], membership: ["path", { d: "M-4 -4V1A4 4 0 0 0 4 1V-4" }],
  commit: ["path", { class: "rl-light", d: "M-3 0 -1 2.5 3 -2.5" }], snapshot: ["rect", { class: "rl-solid", x: -3.5, y: -3.5, width: 7, height: 7 }], timeout: ["circle", { r: 3.2 }], partition: ["path", { d: "M-5 -4V4M5 -4V4M-1 0H1" }], cut: ["path", { d: "M-5 0H-2M2 0H5" }],
  heal: ["path", { d: "M-5 0H5" }], violation: ["path", { class: "rl-solid", d: "M-2 -6H2L1 2H-1zM-1.5 4H1.5V7H-1.5z" }],
};
const TELLING = ["violation", "election", "crash", "silent", "membership", "snapshot", "partition", "timeout"]; // the most telling first: it gets its label
const SOUGHT = { // what one may jump to
  "marks": TELLING, "elections": ["election"], "crashes": ["crash", "restart", "silent", "heard"], "writes": ["write"], "commits": ["commit"], "memberships": ["membership"],
  "snapshots": ["snapshot"], "faults": ["partition", "cut", "heal", "drop", "delay", "duplicate", "pause", "resume", "drift"], "violations": ["violation"],
};

/** The whole run: bands of leadership, marks, branches as further tracks, and the playhead. */
class TapeView {
  constructor(lab) {
    this.lab = lab; this.span = null;
    this.svg = s("svg", { width: "100%", role: "slider", tabindex: 0, "aria-label": "Tape: the moment that is shown" });
    const jump = (label, by) => h("button", { class: "rl-button", type: "button", onclick: () => this.jump(by) }, label);
    this.sought = h("select", { "aria-label": "What to jump to" }, Object.keys(SOUGHT).map((kind) => h("option", { value: kind }, kind)));
    this.root = h("div", { class: "rl-tape" },
      h("div", { class: "rl-tape-head" }, h("h3", {}, "Tape"), jump("‹ previous", -1), this.sought, jump("next ›", 1),
        h("button", { class: "rl-button", type: "button", "aria-label": "Zoom in", onclick: () => this.zoom(0.5) }, "+"),
        h("button", { class: "rl-button", type: "button", "aria-label": "Zoom out", onclick: () => this.zoom(2) }, "−")), h("div", { class: "rl-track" }, this.svg, this.head = h("div", { class: "rl-head" })));
    this.svg.addEventListener("pointerdown", (event) => { this.svg.setPointerCapture(event.pointerId); this.scrub(event); });
    this.svg.addEventListener("pointermove", (event) => { if (event.buttons) this.scrub(event); });
    this.svg.addEventListener("wheel", (event) => { if (event.ctrlKey) { event.preventDefault(); this.zoom(event.deltaY > 0 ? 1.25 : 0.8); } }, { passive: false });
  }

  layout(width) { this.width = Math.max(280, width); this.key = null; }

  get window() {
    const { start } = this.lab.player, end = start + Math.max(this.seenEnd() - start, 0.05) * 1.02;
    if (this.span == null || this.span >= end - start) return [start, end];
    const left = clamp(start, this.lab.player.time - this.span / 2, end - this.span);
    return [left, left + this.span];
  }

  seenEnd() {
    const strips = [...this.lab.store.strips.values()];
    return Math.max(...strips.map((strip) => strip.times[Math.min(strip.seen, strip.times.length - 1)] ?? 0), this.lab.player.time);
  }

  zoom(by) {
    const [left, right] = this.window;
    this.span = (right - left) * by;
    if (this.span >= this.seenEnd() - this.lab.player.start) this.span = null;
    this.key = null;
    this.paint();
  }

  x(time) { const [left, right] = this.window; return 2 + ((time - left) / (right - left)) * (this.width - 4); }

  scrub(event) {
    const box = this.svg.getBoundingClientRect(), [left, right] = this.window, { player } = this.lab;
    const time = left + ((event.clientX - box.left - 2) / (this.width - 4)) * (right - left);
    player.seek(Math.min(time, player.strip.times[Math.min(player.strip.seen, player.strip.times.length - 1)] ?? time));
  }

  jump(by) {
    const { player } = this.lab, strip = player.strip, sought = SOUGHT[this.sought.value], marks = strip.marks.filter((mark) => mark[0] <= strip.seen && sought.includes(mark[2]));
    const found = by > 0 ? marks.find((mark) => mark[0] > player.event) : marks.findLast((mark) => mark[0] < player.event);
    if (found) player.go(found[0]);
  }

  paint() {
    const { store, player } = this.lab, strip = player.strip, [left, right] = this.window;
    const key = [player.branch, strip.version, strip.seen, left, right, this.width, store.strips.size].join();
    if (key !== this.key) { this.key = key; this.draw(strip, left, right); }
    this.animate();
    set(this.svg, { "aria-valuemin": 0, "aria-valuemax": strip.seen, "aria-valuenow": player.event, "aria-valuetext": `event ${this.lab.number(player.event)}, ${seconds(player.time)}` });
  }

  draw(strip, left, right) {
    const bands = strip.bands.filter((band) => band[0] <= strip.seen), end = strip.times[Math.min(strip.seen, strip.times.length - 1)] ?? right;
    const drawn = bands.map((band, place) => this.band(band, bands[place + 1]?.[1] ?? Math.max(end, this.lab.player.time)));
    const ticks = this.ticks(strip.marks.filter((mark) => mark[0] <= strip.seen && mark[1] >= left && mark[1] <= right));
    const tracks = this.lab.store.strips.size > 1 ? this.tracks() : [];
    const height = 74 + (tracks.length ? 8 + 17 * tracks.length : 0);
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height });
    const gone = strip.gone && left <= this.lab.player.start;
    this.svg.replaceChildren(...drawn, ...ticks, ...tracks, gone ? s("text", { class: "rl-gone", x: 2, y: 9 }, `◂ ${strip.gone} earlier events have left this tape`) : "");
  }

  band([, time, term, leader], end) {
    const { fill, ink } = this.lab.termColour(term), x = Math.max(this.x(time), 2), width = Math.max(0, Math.min(this.x(end), this.width - 2) - x);
    if (width <= 0.5) return s("g");
    const words = leader ? `term ${term}: ${name(leader)} leads` : "nobody leads";
    return s("g", { class: "rl-band" }, s("title", {}, words), s("rect", { x, y: 12, width, height: 26, rx: 2, fill, opacity: 0.92 }),
      width > 7 * words.length ? s("text", { x: x + 8, y: 29, style: `fill:${ink}` }, words) : width > 16 && leader ? s("text", { x: x + 4, y: 29, style: `fill:${ink}` }, term) : null);
  }

  /** Marks where there is room, the telling ones first; so are their labels. */
  ticks(marks) {
    const rank = ([, , kind]) => (TELLING.indexOf(kind) + TELLING.length + 1) % (TELLING.length + 1), labels = [], taken = new Set();
    return [...marks].sort((a, b) => rank(a) - rank(b)).map(([event, time, kind, , words]) => {
      const x = this.x(time), half = words.length * 2.9, middle = clamp(half, x, this.width - half);
      if (taken.has(Math.round(x / 8))) return null;
      taken.add(Math.round(x / 8));
      const fits = labels.every(([left, right]) => middle - half > right + 8 || middle + half < left - 8);
      if (fits) labels.push([middle - half, middle + half]);
      const [tag, shape] = TICKS[kind] ?? ["circle", { r: 2 }];
      return s("g", { class: "rl-tick" }, s("title", {}, `${words}, event ${this.lab.number(event)}`), s("g", { transform: `translate(${x} 49)` }, s(tag, shape)), fits ? s("text", { x: middle, y: 68 }, words) : null);
    }).filter(Boolean);
  }

  tracks() {
    return [...this.lab.store.strips.values()].map((one, row) => {
      const y = 82 + row * 17, here = one.name === this.lab.player.branch, start = one.parent ? one.times[one.at] ?? 0 : 0;
      const end = one.times[Math.min(one.seen, one.times.length - 1)] ?? start, x = clamp(2, this.x(start), this.width - 8), width = Math.max(6, clamp(2, this.x(end), this.width - 2) - x);
      const label = one.why ? `${one.name}: ${one.why}` : one.name, inside = x > 8 + label.length * 6;
      return s("g", { class: "rl-branch", role: "button", tabindex: 0, "aria-label": `branch ${label}`, onclick: () => this.lab.openBranch(one.name), onpointerdown: (event) => event.stopPropagation(), onkeydown: (event) => { if (event.key === "Enter") this.lab.openBranch(one.name); } },
        one.parent ? s("path", { class: "rl-branch-join", d: `M${x} 40V${y - 4}` }) : null,
        s("rect", { class: `rl-branch-bar ${here ? "rl-here" : ""}`, x, y: y - 3, width, height: 6, rx: 3 }),
        s("text", { class: "rl-branch-name", x: inside ? x - 6 : x + 4, y: inside ? y + 4 : y + 12, style: `text-anchor:${inside ? "end" : "start"};${here ? "font-weight:700;fill:var(--rl-ink)" : ""}` }, label));
    });
  }

  animate() {
    if (this.span != null) { const [left, right] = this.window; if (this.drawnLeft !== left) { this.drawnLeft = left; this.key = null; this.draw(this.lab.player.strip, left, right); } }
    this.head.style.transform = `translateX(${this.x(this.lab.player.time).toFixed(1)}px)`;
  }
}

// ---------------------------------------------------------------------------------------------------- the Lab itself

/** Controls, choices, menus and keys around the views. */
class Lab {
  constructor(root, link) {
    this.link = link;
    this.picked = new Set(); this.message = null; this.pop = null; this.orders = [];
    this.store = new Store(link);
    this.player = new Player(this.store, { paint: () => this.paint(), animate: () => this.animate() });
    this.scene = new SceneView(this); this.logs = new LogsView(this); this.inspector = new InspectorView(this); this.tape = new TapeView(this);
    this.when = h("span", { class: "rl-when" }); this.sentence = h("span");
    this.story = h("div", { class: "rl-story", role: "status", "aria-live": "polite" }, this.when, this.sentence);
    this.errors = h("div", { role: "alert" }); this.notice = h("div", { class: "rl-notice", role: "status" });
    this.stage = h("div", { class: "rl-stage" }, this.scene.root, this.logs.root, h("div", { class: "rl-told" }, this.errors, this.notice, this.story), this.tape.root, this.inspector.root);
    const board = this.store.board;
    this.root = h("section", { class: "raftlab", role: "region", "aria-label": `Raft lab, ${board.title}`, tabindex: -1, "data-lm-suppress-shortcuts": "true" },
      this.bar(), this.stage, this.hints());
    this.root.addEventListener("keydown", (event) => this.guard(() => this.key(event)));
    this.root.addEventListener("pointerdown", (event) => { if (this.pop && !this.pop.contains(event.target)) this.closePop(); });
    link.listen((message) => this.hear(message));
    root.append(this.root);
    this.watcher = new ResizeObserver(() => this.layout());
    this.watcher.observe(this.stage);
    this.wake = () => { if (!document.hidden && this.isLive) link.send({ do: "hello" }); };
    document.addEventListener("visibilitychange", this.wake);
    this.nod = setInterval(() => { if (!document.hidden && this.isLive) this.player.report(); }, NOD);
    this.layout();
    link.send({ do: "hello" });
  }

  close() {
    this.player.stop();
    cancelAnimationFrame(this.player.frame);
    cancelAnimationFrame(this.due);
    this.watcher.disconnect();
    document.removeEventListener("visibilitychange", this.wake);
    clearInterval(this.nod);
    if (this.isLive) this.link.send({ do: "bye" });
    this.root.remove();
  }

  // What comes from the other side

  hear(message) { this.guard(() => this.take(message)); }

  /** Whatever goes wrong in the drawing is shown in it. */
  guard(act) {
    try { act(); } catch (error) { this.fail(`the drawing failed: ${error.message}`); console.error(error); }
  }

  take(message) {
    if (message.type === "reel") this.store.takeReel(message.branch, message.reel);
    else if (message.type === "strip") this.grow(message.strip);
    else if (message.type === "board") this.rebuild(message.board);
    else if (message.type === "gate") this.takeGate(message);
    else if (message.type === "go") return this.arrive(message);
    else if (message.type === "error") return this.fail(message.text);
    this.player.resume();
    this.soon();
  }

  /** Paint before the next frame: once, however much arrives. */
  soon() { this.due ??= requestAnimationFrame(() => { this.due = null; this.guard(() => this.paint()); }); }

  /** What a branch has more, or has otherwise, from event `from` on. */
  grow(strip) {
    const old = this.store.strips.get(strip.name);
    if (strip.from > (old?.times.length ?? 0)) return this.link.send({ do: "hello" });
    const kept = (list) => (old ? list.filter((one) => one[0] < strip.from) : []);
    const whole = { ...strip, times: [...(old?.times.slice(0, strip.from) ?? []), ...strip.times], bands: [...kept(old?.bands ?? []), ...strip.bands], marks: [...kept(old?.marks ?? []), ...strip.marks] };
    const { player } = this, follows = this.store.board.live && !player.playing && player.goal == null && player.event >= (old?.seen ?? 0);
    if (old && strip.gone > (old.gone ?? 0)) player.event = Math.max(0, player.event - strip.gone + (old.gone ?? 0));
    this.store.takeStrip(whole);
    this.fillBranches();
    if (player.event > player.last) player.go(player.last);
    else if (follows) player.follow(whole.seen); // who stands at the end of a live tape stays there
    else if (this.isLive) player.report(); // somebody still looks
  }

  takeGate(gate) {
    this.store.gate = gate;
    this.holding?.setAttribute("aria-pressed", gate.closed);
    this.freezing?.setAttribute("aria-pressed", gate.frozen);
  }

  rebuild(board) {
    this.store.board = { ...this.store.board, ...board };
    if (board.gate) this.takeGate(board.gate);
    for (const strip of board.strips) this.store.takeStrip(strip);
    this.fillBranches();
    if (board.live) this.player.go(this.player.last);
    if (board.over) this.retire();
  }

  /** A live cluster has ended: what can no longer be done is no longer offered. */
  retire() {
    for (const control of [this.holding, this.freezing, this.doing]) control?.classList.add("rl-hidden");
    this.closePop();
    this.root.lastChild.replaceWith(this.hints());
    this.tellOf(null);
    this.paint();
  }

  /** How it stands with the other side, while there is something to say of it. */
  tellOf(trouble) { this.notice.textContent = trouble ?? this.store.board.over ?? ""; }

  /** An order was carried out: show what it brought about, then give the next. */
  arrive({ event, branch }) {
    this.orders.shift();
    this.player.go(event, branch);
    this.fillBranches();
    this.focusBack();
    this.give();
  }

  /** An error where everybody sees it, until it is dismissed. */
  fail(text) {
    this.orders.length = 0;
    this.errors.replaceChildren(h("div", { class: "rl-error" }, h("span", {}, text), h("span", { class: "rl-space" }), h("button", { class: "rl-button", type: "button", onclick: () => this.errors.replaceChildren() }, "Dismiss")));
  }

  // Drawing

  layout() {
    if (this.stage.clientWidth === this.width) return;
    this.width = this.stage.clientWidth;
    const inner = (node) => node.clientWidth - 26;
    this.scene.layout(inner(this.scene.root));
    this.logs.layout(inner(this.logs.root));
    this.tape.layout(this.tape.root.clientWidth - 8);
    this.paint();
  }

  paint() {
    const scene = this.player.scene;
    if (scene) this.keepFocus(() => {
      this.scene.paint(scene); this.logs.paint(scene);
      if (this.isTimely()) { this.scene.paintHand(scene); this.tape.paint(); this.inspector.paint(scene); this.tell(); this.clockwork(); }
    });
    this.animate();
  }

  /** Whether to draw what nobody can read while it moves: some times a second are enough. */
  isTimely() {
    const now = performance.now();
    if (this.player.playing && now - (this.drawn ?? 0) < 200) return false;
    this.drawn = now;
    return true;
  }

  /** Draw; where that takes away what had the focus, its successor gets it, or else the Lab: keys must not go astray. */
  keepFocus(draw) {
    const active = this.root.contains(document.activeElement) ? document.activeElement : null;
    draw();
    if (active && !this.root.contains(active)) (this.scene.nodes.get(Number(active.dataset.id)) ?? this.root).focus({ preventScroll: true });
  }

  animate() {
    const { player } = this, scene = player.scene;
    if (scene) this.keepFocus(() => this.scene.animate(scene));
    this.tape.animate();
    if (!player.playing) this.clockwork();
    this.quiet.classList.toggle("rl-on", player.playing && player.quiet);
    const playing = player.playing;
    if (this.shownPlaying !== playing) { this.shownPlaying = playing; this.play.replaceChildren(icon(playing ? "pause" : "play"), playing ? "Pause" : "Play"); }
    this.backward.disabled = player.event <= 0;
    this.forward.disabled = player.event >= player.last && !this.store.board.grows;
  }

  /** Time and event in numbers. */
  clockwork() {
    const { player } = this;
    this.time.textContent = `t = ${player.time.toFixed(this.isLive ? 3 : 4)} s`;
    this.count.textContent = `event ${this.number(player.event)} of ${this.number(player.strip.seen)}`;
  }

  /** How an event is called: its number since the beginning, even where the oldest are no longer on the tape. */
  number(event) { return event + (this.player.strip.gone ?? 0); }

  /** The story line: what just happened, in words. */
  tell() {
    const event = this.store.event(this.player.branch, this.player.event);
    if (!event || this.toldEvent === event) return;
    this.toldEvent = event;
    this.story.setAttribute("aria-live", this.player.playing ? "off" : "polite");
    this.when.textContent = seconds(event.time);
    const [, text, paper] = /^(.*?)( \([^()]*(?:§|Figure|openraft)[^()]*\))?$/s.exec(event.text) ?? [null, event.text, ""];
    this.sentence.replaceChildren(text, h("span", { class: "rl-paper" }, paper ?? ""));
  }

  termColour(term) {
    const { palette, none, dark } = this.store.board.colours;
    const fill = term > 0 ? palette[(term - 1) % palette.length] : none;
    return { fill, ink: dark.includes(fill) ? "#FFFFFF" : INK };
  }

  // Controls

  bar() {
    const { board } = this.store, button = (which, label, act, extra = "") => h("button", { class: `rl-button ${extra}`, type: "button", onclick: act }, icon(which), label);
    this.backward = button("back", "Back", () => this.player.back());
    this.forward = button("step", "Step", () => this.player.step(), "rl-main");
    this.play = h("button", { class: "rl-button", type: "button", onclick: () => this.player.toggle() });
    this.speed = h("input", { type: "range", min: -2, max: 2, step: 0.25, value: 0, "aria-label": "Seconds for one message flight" });
    const flight = h("output", {}, "1 flight = 1.0 s");
    this.speed.addEventListener("input", () => { this.player.pace = 2 ** -Number(this.speed.value); flight.textContent = `1 flight = ${this.player.pace.toFixed(this.player.pace < 1 ? 2 : 1)} s`; });
    this.time = h("span"); this.count = h("span"); this.quiet = h("span", { class: "rl-quiet" }, "quiet: 8 × faster");
    this.tape.root.firstChild.append(this.quiet);
    this.branches = h("select", { "aria-label": "Branch of time", onchange: () => this.openBranch(this.branches.value) });
    const toggle = (words, title, verb) => !this.can(verb) ? null : h("button", { class: "rl-button rl-toggle", type: "button", title, "aria-pressed": "false", onclick: () => this.toggle(verb) }, words);
    this.holding = toggle("Hold messages", "let messages wait half way until you decide about each (b)", "hold");
    this.freezing = toggle("Freeze timers", "let no timer run out (f)", "freeze");
    this.doing = h("button", { class: "rl-button", type: "button", "aria-haspopup": "menu", onclick: (event) => this.openMenu(event) }, "Do …");
    const bar = h("div", { class: "rl-bar", role: "toolbar", "aria-label": "Controls" },
      button("reset", "Reset", () => this.player.go(board.place.event, "main")), this.backward, this.forward, this.play,
      h("label", {}, flight, this.speed),
      h("span", { class: "rl-where" }, board.seed != null && h("b", {}, `seed ${board.seed}`), this.time, this.count), h("span", { class: "rl-space" }),
      this.holding, this.freezing, this.branches, this.can("menu") && this.doing, h("button", { class: "rl-button", type: "button", "aria-label": "Keys", onclick: () => this.openKeys() }, "?"));
    this.fillBranches();
    return bar;
  }

  get isLive() { return Boolean(this.store.board.live); }

  /** Whether a message waits before the gate: that is known of the newest moment alone. */
  isHeld(id) { return this.isLive && this.player.event >= this.player.strip.seen && this.store.gate.held.includes(id); }

  /** The messages that are held, lane by lane, the oldest first. */
  heldQueues(scene) {
    const queues = new Map();
    for (const id of this.isLive && this.player.event >= this.player.strip.seen ? this.store.gate.held : []) {
      const flight = scene.flying.get(id), way = flight && `${flight.src}>${flight.dst}`;
      if (flight) queues.set(way, [...(queues.get(way) ?? []), id]);
    }
    return queues;
  }

  toggle(verb) {
    const { closed, frozen } = this.store.gate;
    if (this.can(verb)) this.act(verb === "hold" ? (closed ? "open" : "hold") : frozen ? "thaw" : "freeze");
  }

  can(verb) { const { can } = this.store.board; return this.link.live && (verb === "menu" ? can.length > 0 : can.includes(verb)); }

  fillBranches() {
    const strips = [...this.store.strips.values()];
    this.branches.classList.toggle("rl-hidden", strips.length < 2);
    this.branches.replaceChildren(...strips.map((one) => h("option", { value: one.name, selected: one.name === this.player.branch }, one.why ? `${one.name}: ${one.why}` : one.name)));
    this.branches.value = this.player.branch;
  }

  openBranch(branch) {
    const strip = this.store.strips.get(branch);
    this.player.go(Math.min(strip.seen, strip.count - 1), branch);
    this.fillBranches();
  }

  hints() {
    const hint = (keys, words) => h("span", {}, keys.map((key) => h("kbd", {}, key)), ` ${words}`);
    return h("div", { class: "rl-keys" }, hint(["←", "→"], "step"), hint(["Space"], "play"), hint(["[", "]"], "marks"), hint(["1…9"], "choose a server"),
      this.can("menu") && [hint(["."], "do something"), hint(["c"], "crash"), hint(["w"], "write")], hint(["?"], "all keys"));
  }

  // Choosing

  pickNode(id, more) {
    const had = this.picked.has(id);
    if (!more) this.picked.clear();
    if (had) this.picked.delete(id); else this.picked.add(id);
    this.message = null;
    this.paint();
  }

  pickMessage(id) {
    this.picked.clear();
    this.message = this.message === id ? null : id;
    this.paint();
  }

  pickNext() {
    const known = this.player.scene?.flying ?? new Map(), held = [...known.keys()].filter((id) => this.isHeld(id)), flying = held.length ? held : [...known.keys()];
    if (flying.length) this.pickMessage(flying[(flying.indexOf(this.message) + 1) % flying.length]);
  }

  // Doing

  /** Orders are given one after the other, each where the one before has led. */
  act(type, more = {}) {
    this.closePop();
    this.player.stop();
    this.orders.push({ type, ...more });
    if (type === "partition" || type === "cut") this.picked.clear();
    if (this.orders.length === 1 || performance.now() - this.given > 5000) this.give(); // an order without an answer is given up
  }

  give() {
    const { branch, event, time } = this.player;
    this.given = performance.now();
    if (this.orders.length) this.link.send({ do: "act", branch, event, time, order: this.orders[0] });
  }

  nodeActions(id) {
    const state = this.player.scene?.nodes[id];
    if (!state) return [];
    const leads = state.role === "leader";
    return [
      state.up && ["crash", "Crash", "c", { node: id }], !state.up && ["restart", "Restart", "r", { node: id }],
      state.up && !state.paused && ["pause", "Pause", "p", { node: id }], state.paused && ["resume", "Go on", "p", { node: id }],
      state.up && !leads && ["timeout", "Time out", "t", { node: id }], state.up && !leads && ["transfer", "Make it lead", "l", { node: id }],
      state.up && ["snapshot", "Snapshot", "s", { node: id }], state.up && ["drift", state.rate === 1 ? "Clock × 1.5" : "Clock right", "", { node: id, rate: state.rate === 1 ? 1.5 : 1 }],
      ["partition", "Isolate", "x", { nodes: [id] }],
    ].filter((one) => one && this.can(one[0]));
  }

  groupActions(ids) {
    return [["partition", "Split off", "x", { nodes: ids }], ids.length === 2 && ["cut", "Cut their link", "k", { nodes: ids }]].filter((one) => one && this.can(one[0]));
  }

  messageActions(flight) {
    const message = flight.id, isLive = this.isLive;
    if (!this.player.scene?.flying.has(message) || (isLive && !this.isHeld(message))) return [];
    return [
      ["release", "Let it pass", "o", { message }], ["drop", "Drop", "d", { message }], ["duplicate", "Duplicate", "u", { message }],
      ["delay", isLive ? "Let it pass in 1 s" : "Delay", "y", { message, seconds: isLive ? 1 : 4 * this.store.board.flight }],
    ].filter((one) => this.can(one[0]));
  }

  clusterActions() {
    const ids = Object.keys(this.player.scene?.nodes ?? {}).map(Number);
    return [
      this.can("write") && ["form", "Write …", "w", () => this.openWrite()], this.can("read") && ["form", "Read …", "g", () => this.openRead()],
      this.can("heal") && this.player.scene?.cuts.length && ["heal", "Heal the network", "h", {}],
      this.can("learner") && ["learner", `Add learner ${name(Math.max(0, ...ids) + 1)}`, "a", { node: Math.max(0, ...ids) + 1 }],
      this.can("membership") && ["form", "Change the membership …", "m", () => this.openMembership()],
      this.can("hold") && [this.store.gate.closed ? "open" : "hold", this.store.gate.closed ? "Let all messages go" : "Hold messages", "b", {}],
      this.can("freeze") && [this.store.gate.frozen ? "thaw" : "freeze", this.store.gate.frozen ? "Let timers run" : "Freeze timers", "f", {}],
    ].filter(Boolean);
  }

  chosenActions() {
    const picked = [...this.picked], flight = this.message && this.player.scene && findFlight(this.player.scene, this.message);
    if (flight) return this.messageActions(flight);
    return picked.length === 1 ? this.nodeActions(picked[0]) : picked.length > 1 ? this.groupActions(picked) : [];
  }

  perform([verb, , , more]) { if (verb === "form") more(); else this.act(verb, more); }

  actionButtons(actions) {
    return actions.length > 0 && h("div", { class: "rl-actions" }, actions.map((one) => h("button", { class: "rl-button", type: "button", "aria-keyshortcuts": one[2] || null, onclick: () => this.perform(one) }, one[1])));
  }

  // Menus and forms

  openPop(content, event, label) {
    this.closePop();
    this.before = document.activeElement;
    this.pop = h("div", { class: "rl-pop", role: label ? "menu" : "dialog", "aria-label": label ?? "Form" }, content);
    this.root.append(this.pop);
    const frame = this.root.getBoundingClientRect(), from = event?.type === "contextmenu" ? { left: event.clientX, bottom: event.clientY } : (event?.currentTarget?.getBoundingClientRect?.() ?? this.doing.getBoundingClientRect());
    const left = clamp(4, from.left - frame.left, frame.width - this.pop.offsetWidth - 4);
    set(this.pop, { style: `left:${left}px;top:${from.bottom - frame.top + 4}px` });
    this.pop.querySelector("input,select,button")?.focus();
  }

  closePop() { this.pop?.remove(); this.pop = null; }

  /** The focus comes back where it was lost; from elsewhere it is not taken. */
  focusBack() { if (!document.activeElement || document.activeElement === document.body) this.root.focus({ preventScroll: true }); }

  openMenu(event) {
    const chosen = this.chosenActions(), cluster = this.clusterActions();
    const who = this.message ? "this message" : [...this.picked].map(name).join(", ");
    const item = (one) => h("button", { role: "menuitem", type: "button", tabindex: -1, onclick: () => this.perform(one) }, one[1], one[2] && h("kbd", {}, one[2]));
    const parts = [chosen.length ? h("h4", {}, who) : h("h4", {}, "Click a server or a message, or press 1 … 9 or n"), chosen.map(item), h("h4", {}, "the cluster"), cluster.map(item)];
    this.openPop(parts, event, "What to do");
    this.pop.addEventListener("keydown", (pressed) => this.walkMenu(pressed));
  }

  walkMenu(event) {
    const items = [...this.pop.querySelectorAll('[role="menuitem"]')], at = items.indexOf(document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault(); event.stopPropagation();
    items[(at + step + items.length) % items.length]?.focus();
  }

  /** A small form; `submit` gets what was typed, by name. */
  form(title, fields, submit, button) {
    const done = () => submit(Object.fromEntries([...form.querySelectorAll('input[type="text"]')].map((input) => [input.name, input.value])));
    const form = h("div", { class: "rl-form", role: "group", "aria-label": title }, h("h4", {}, title), fields,
      h("div", { class: "rl-actions" }, h("button", { class: "rl-button rl-main", type: "button", onclick: done }, button), h("button", { class: "rl-button", type: "button", onclick: () => this.escape() }, "Cancel")));
    form.addEventListener("keydown", (event) => { if (event.key === "Enter" && event.target.matches("input")) { event.preventDefault(); event.stopPropagation(); done(); } });
    this.openPop(form);
  }

  text(label, field, value) { return h("label", {}, label, h("input", { type: "text", name: field, value, autocomplete: "off" })); }

  openWrite() {
    const to = [...this.picked];
    this.writes = (this.writes ?? 0) + 1;
    this.form(to.length === 1 ? `Write to ${name(to[0])}` : "Write to whoever leads", [this.text("key", "key", "x"), this.text("value", "value", this.writes)],
      (field) => this.act("write", { key: field.key, value: number(field.value), node: to.length === 1 ? to[0] : null }), "Write");
  }

  openRead() {
    const to = [...this.picked];
    this.form(to.length === 1 ? `Read from ${name(to[0])}` : "Read from whoever leads", [this.text("key", "key", "x")], (field) => this.act("read", { key: field.key, node: to.length === 1 ? to[0] : null }), "Read");
  }

  openMembership() {
    const scene = this.player.scene, members = governing(scene), voters = new Set(members?.sets.at(-1));
    const known = Object.keys(scene.nodes).map(Number).filter((id) => isMember(id, scene));
    this.form("Who votes from now on?", h("div", { class: "rl-boxes" }, known.map((id) => h("label", {}, h("input", { type: "checkbox", name: "voter", value: id, checked: voters.has(id) }), name(id)))),
      () => this.act("membership", { nodes: [...this.pop.querySelectorAll("input:checked")].map((box) => Number(box.value)) }), "Change");
  }

  openKeys() {
    this.openPop([h("h4", {}, "Keys"), h("dl", {}, KEYS.map(([keys, words]) => [h("dt", {}, h("kbd", {}, keys)), h("dd", {}, words)])), h("button", { class: "rl-button", type: "button", onclick: () => this.escape() }, "Close")]);
  }

  escape() {
    if (this.pop) { this.closePop(); (this.before && this.root.contains(this.before) ? this.before : this.root).focus({ preventScroll: true }); return; }
    this.picked.clear(); this.message = null; this.paint();
  }

  // Keys

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape") { event.preventDefault(); event.stopPropagation(); return this.escape(); }
    const target = event.target;
    if (this.pop?.contains(target) || target.matches("input, select, textarea")) return;
    const pressed = event.key, onButton = target.matches("button") || target.getAttribute("role") === "button";
    if (onButton && (pressed === " " || pressed === "Enter") && !target.classList.contains("rl-node")) return;
    if (target.classList?.contains("rl-node") && pressed === "Enter") { event.preventDefault(); return target.dispatchEvent(new MouseEvent("click", { shiftKey: event.shiftKey })); }
    const act = this.keys()[pressed];
    if (!act && !/^[1-9]$/.test(event.code?.replace("Digit", ""))) return;
    event.preventDefault(); event.stopPropagation();
    if (act) act(); else this.pickNumber(Number(event.code.replace("Digit", "")), event.shiftKey);
  }

  pickNumber(id, more) { if (this.player.scene?.nodes[id]) { this.pickNode(id, more); this.scene.nodes.get(id).focus({ preventScroll: true }); } }

  keys() {
    const { player } = this, verb = (...verbs) => () => { const found = this.chosenActions().find((one) => verbs.includes(one[0])); if (found) this.perform(found); };
    const cluster = (letter) => () => { const found = this.clusterActions().find((one) => one[2] === letter); if (found) this.perform(found); };
    return {
      ArrowRight: () => player.step(), ArrowLeft: () => player.back(), " ": () => player.toggle(), Home: () => player.go(0), End: () => player.go(player.strip.seen),
      "[": () => this.tape.jump(-1), "]": () => this.tape.jump(1), n: () => this.pickNext(), ".": () => this.can("menu") && this.openMenu(), ContextMenu: () => this.can("menu") && this.openMenu(), "?": () => this.openKeys(),
      c: verb("crash"), r: verb("restart"), p: verb("pause", "resume"), t: verb("timeout"), l: verb("transfer"), s: verb("snapshot"), x: verb("partition"), k: verb("cut"),
      o: verb("release"), d: verb("drop"), u: verb("duplicate"), y: verb("delay"), h: cluster("h"), w: cluster("w"), g: cluster("g"), a: cluster("a"), m: cluster("m"), b: cluster("b"), f: cluster("f"),
    };
  }
}

const number = (text) => (text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text);

// ---------------------------------------------------------------------------------------------------- the two links

/** A widget: its model carries board and first reels, everything else comes and goes as messages. */
function render({ model, el }) {
  let lab = null, waits = null;
  const settle = () => { clearTimeout(waits); waits = null; };
  const silent = (why) => { settle(); lab?.tellOf(why); };
  const link = {
    live: true,
    board: () => model.get("board"), reels: () => model.get("reels"),
    send: (message) => { // a click that does nothing would be a riddle: where no answer comes, that is said
      try { model.send(message); } catch { return silent(LOST); }
      if (!UNASKED.includes(message.do)) waits ??= setTimeout(() => silent(SILENT), PATIENCE);
    },
    listen: (take) => { link.hear = (message) => { silent(null); take(message); }; model.on("msg:custom", link.hear); },
  };
  const probe = () => link.send({ do: "hello" });
  model.on("comm_live_update", probe); // the kernel was restarted, or lost, or found again
  lab = new Lab(el, link);
  return () => { settle(); model.off("msg:custom", link.hear); model.off("comm_live_update", probe); lab.close(); };
}

/** An offline page: the whole film is in the page, packed. */
async function play(root, packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.codePointAt(0));
  const text = await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const film = JSON.parse(text);
  return new Lab(root, { live: false, board: () => film.board, reels: () => film.reels, send: () => {}, listen: () => {} });
}

export default { render };
export { play };
