// Bundled from lab/js/src by lab/js/build.js; change it there. Sources: f86aaafe047147f25fffde0bad4169b3ba24cbdcbf464af012c8840b3da1abfa

// src/tools.js
var clamp = (low, value, high) => Math.max(low, Math.min(high, value));
var name = (node) => `n${node}`;
var seconds = (time) => `${time.toFixed(3)} s`;
var braces = (set2) => `{${set2.join(",")}}`;
var clip = (text) => text.length > 6 ? `${text.slice(0, 5)}…` : text;
var typed = (text) => text.trim() !== "" && Number.isFinite(Number(text)) ? Number(text) : text;
var withoutSections = (text) => text.replace(/ \([^()]*§[^()]*\)(?=;|$)/g, "");
function lastAtMost(list, value, key) {
  let low = 0;
  let high = list.length;
  while (low < high) {
    const middle = low + high >> 1;
    if (key(list[middle]) <= value) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}
var shown = /* @__PURE__ */ new WeakMap();
function isSame(drawing, things) {
  const before = shown.get(drawing);
  shown.set(drawing, things);
  return before !== void 0 && things.every((thing, place) => thing === before[place]);
}
var forget = (drawing) => shown.delete(drawing);
function hash(text) {
  let bits = 2166136261;
  for (const letter of text) bits = Math.imul(bits ^ (letter.codePointAt(0) ?? 0), 16777619);
  return (bits ^ bits >>> 15) >>> 0;
}
function dedent(lines) {
  const depth = Math.min(...lines.filter((line) => line.trim()).map((line) => line.length - line.trimStart().length));
  return lines.map((line) => line.slice(depth));
}
function splitSection(text) {
  const found = /^(.*?)( \([^()]*(?:§|Figure|openraft)[^()]*\))?$/s.exec(text);
  return found ? [found[1], found[2] ?? ""] : [text, ""];
}
function termColour({ palette, none, dark }, term) {
  const fill = term > 0 ? palette[(term - 1) % palette.length] : none;
  return { fill, ink: dark.includes(fill) ? "#FFFFFF" : "#1F2933" };
}

// src/scenes.js
var LANDS = /* @__PURE__ */ new Set(["receive", "undelivered", "drop"]);
var SHOWN = 2.5;
function keyScene(key) {
  const flying = new Map(key.flying.map((flight) => [flight.id, flight]));
  return { ...key, flying, fallen: [], changed: {} };
}
function nextScene(before, event, flight) {
  const fallen = before.fallen.filter((one) => event.time - one.time < SHOWN * flight);
  const scene = { ...before, time: event.time, changed: {}, fallen };
  if (event.nodes) changeServers(scene, before, event.nodes);
  if (event.cuts) scene.cuts = event.cuts;
  if (event.decisions) scene.decisions = event.decisions;
  if (event.sent.length || event.gone.length || LANDS.has(event.kind)) moveMessages(scene, before, event);
  return scene;
}
function changeServers(scene, before, nodes) {
  scene.nodes = { ...before.nodes };
  for (const [id, changes] of Object.entries(nodes)) {
    scene.nodes[id] = { ...before.nodes[id], ...changes };
    scene.changed[id] = Object.keys(changes);
  }
}
function moveMessages(scene, before, event) {
  scene.flying = new Map(before.flying);
  for (const flight of event.sent) {
    const why = flight.lost === "cut" ? "link cut" : "lost";
    if (flight.lost) scene.fallen.push({ flight, time: flight.sent, why, flies: true });
    else scene.flying.set(flight.id, flight);
  }
  const landed = LANDS.has(event.kind) ? before.flying.get(event.message ?? -1) : void 0;
  if (landed) {
    scene.flying.delete(landed.id);
    const why = whyLost(event, landed);
    if (event.kind !== "receive") scene.fallen.push({ flight: landed, time: event.time, why, flies: false });
  }
  for (const [id, why] of event.gone) {
    const flight = scene.flying.get(id);
    if (flight) scene.fallen.push({ flight, time: event.time, why, flies: false });
    scene.flying.delete(id);
  }
}
function whyLost(event, flight) {
  if (event.kind === "drop") return "dropped";
  return /cut/.test(event.text) ? "link cut" : `${name(flight.dst)} is down`;
}
function findFlight(scene, id) {
  return scene.flying.get(id) ?? scene.fallen.find((one) => one.flight.id === id)?.flight;
}
var idsOf = (scene) => Object.keys(scene.nodes).map(Number).sort((a, b) => a - b);
function governing(scene) {
  const by = scene.decisions[0]?.by ?? Object.keys(scene.nodes)[0];
  return scene.nodes[by]?.members;
}
function isMember(id, scene) {
  const members = governing(scene);
  if (!members || members.sets.length === 0) return true;
  return members.sets.flat().includes(id) || members.learners.includes(id);
}
var isStill = (state) => !state.up || state.paused || Boolean(state.halted);
function heldQueues(scene, held) {
  const queues = /* @__PURE__ */ new Map();
  for (const id of held) {
    const flight = scene.flying.get(id);
    if (!flight) continue;
    const way = `${flight.src}>${flight.dst}`;
    queues.set(way, [...queues.get(way) ?? [], id]);
  }
  return queues;
}

// src/actions.js
var FIRST = new Set(
  "crash restart pause resume partition cut heal write read drop hold open release freeze thaw".split(" ")
);
var action = (order, label, key) => ({ verb: order.type, label, key, order });
var inForm = (form, label, key) => ({ verb: form, label, key, form });
var possible = (actions, can) => actions.filter((one) => one != null && one !== false && can(one.verb)).map((one) => (
  /** @type {Action} */
  one
));
function serverActions(node, scene, can) {
  const state = scene.nodes[node];
  if (!state) return [];
  const isRight = state.rate === 1;
  const follows = state.up && state.role !== "leader";
  return possible(
    [
      state.up && action({ type: "crash", node }, "Crash", "c"),
      !state.up && action({ type: "restart", node }, "Restart", "r"),
      state.up && !state.paused && action({ type: "pause", node }, "Pause", "p"),
      state.paused && action({ type: "resume", node }, "Resume", "p"),
      follows && action({ type: "timeout", node }, "Fire election timer", "t"),
      follows && action({ type: "transfer", node }, "Transfer leadership", "l"),
      state.up && action({ type: "snapshot", node }, "Snapshot", "s"),
      state.up && action({ type: "drift", node, rate: isRight ? 1.5 : 1 }, isRight ? "Clock × 1.5" : "Clock × 1", ""),
      action({ type: "partition", nodes: [node] }, "Isolate", "x")
    ],
    can
  );
}
function groupActions(nodes, can) {
  const pair = (
    /** @type {[number, number]} */
    nodes
  );
  return possible(
    [
      action({ type: "partition", nodes }, "Isolate together", "x"),
      nodes.length === 2 && action({ type: "cut", nodes: pair }, "Cut their link", "k")
    ],
    can
  );
}
function messageActions(message, { isLive, flight }, can) {
  const later = action(
    { type: "delay", message, seconds: isLive ? 1 : 4 * flight },
    isLive ? "Deliver in 1 s" : "Delay",
    "y"
  );
  return possible(
    [
      action({ type: "release", message }, "Deliver", "o"),
      action({ type: "drop", message }, "Drop", "d"),
      action({ type: "duplicate", message }, "Duplicate", "u"),
      later
    ],
    can
  );
}
function clusterActions(scene, gate, can) {
  const next = Math.max(0, ...scene ? idsOf(scene) : []) + 1;
  return possible(
    [
      inForm("write", "Write …", "w"),
      inForm("read", "Read …", "g"),
      scene?.cuts.length ? action({ type: "heal" }, "Heal the network", "h") : null,
      action({ type: "learner", node: next }, `Add learner ${name(next)}`, "a"),
      inForm("membership", "Change the membership …", "m"),
      holdAction(gate, can),
      freezeAction(gate, can)
    ],
    can
  );
}
function holdAction(gate, can) {
  if (!can("hold")) return null;
  return gate.closed ? action({ type: "open" }, "Release all", "b") : action({ type: "hold" }, "Hold messages", "b");
}
function freezeAction(gate, can) {
  if (!can("freeze")) return null;
  return gate.frozen ? action({ type: "thaw" }, "Resume timers", "f") : action({ type: "freeze" }, "Freeze timers", "f");
}

// src/dom.js
var SVG = "http://www.w3.org/2000/svg";
function put(node, attributes, children) {
  for (const [name2, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name2.startsWith("on")) node.addEventListener(
      name2.slice(2),
      /** @type {EventListener} */
      value
    );
    else node.setAttribute(name2, value === true ? "" : String(value));
  }
  for (const child of children.flat(2)) {
    if (child == null || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}
var h = (tag, attributes, ...children) => put(document.createElement(tag), attributes ?? {}, children);
var s = (tag, attributes, ...children) => put(
  /** @type {SVGElementTagNameMap[K]} */
  document.createElementNS(SVG, tag),
  attributes ?? {},
  children
);
function keepKeys(root) {
  root.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
}
function set(node, attributes) {
  for (const [name2, value] of Object.entries(attributes)) node.setAttribute(name2, String(value));
}
function part(root, selector) {
  return (
    /** @type {SVGElement} */
    root.querySelector(selector)
  );
}
var ICONS = {
  reset: "M3 3v4h4M3.3 7A5 5 0 1 1 3 9.5",
  back: "M10 2 3 7l7 5z",
  step: "M4 2l7 5-7 5z",
  play: "M3 1.5 12 7l-9 5.5z",
  pause: "M3 2h3v10H3zM8 2h3v10H8z"
};
function icon(which) {
  const stroked = which === "reset";
  return s(
    "svg",
    { viewBox: "0 0 14 14", "aria-hidden": "true" },
    s("path", {
      d: ICONS[which],
      fill: stroked ? "none" : "currentColor",
      stroke: stroked ? "currentColor" : "none",
      "stroke-width": 1.6
    })
  );
}

// src/panels.js
var PANELS = (
  /** @type {[Panel, string, string][]} */
  [
    ["logs", "Logs", "what each server has stored"],
    ["inspector", "Inspector", "the chosen server or message, or the rule that decided"],
    ["tape", "Tape", "the whole run: drag it, jump to marks, compare branches"]
  ]
);
var NARROW = 640;
var WIDE = 1040;
function openAtFirst(view, width) {
  if (view === "ring" || width < NARROW) return [];
  return width < WIDE ? ["logs", "tape"] : ["inspector", "logs", "tape"];
}
var toggled = (open, panel) => open.includes(panel) ? open.filter((one) => one !== panel) : [...open, panel];
function shownPanels(open, width) {
  const side = open.filter((one) => one !== "tape");
  const hidden = width < WIDE && side.length > 1 ? side[0] : null;
  return open.filter((one) => one !== hidden);
}

// src/words.js
var KEYS = (
  /** @type {Key[]} */
  [
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
    ["?", "these keys"]
  ]
);
var usableKeys = (can) => KEYS.filter(([, , verb]) => !verb || can(verb));
var SAYS = (
  /** @type {Record<string, string>} */
  {
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
    "Outdated−": "your term is over"
  }
);
var FIRST_SAYS = (
  /** @type {Record<string, string>} */
  {
    AppendRequest: "I lead: store this",
    "AppendAccepted+": "stored",
    "AppendRefused−": "I lack something before it"
  }
);
function messageSays(flight, isPlain) {
  const kind = `${flight.kind}${flight.sign}`;
  return isPlain && FIRST_SAYS[kind] || SAYS[kind] || flight.kind;
}
var messageLabel = (flight, isPlain) => flight.answer ? flight.glyph + flight.sign : `${flight.glyph}${!isPlain && flight.entries || ""}`;
var messageWords = (flight) => `${flight.name}, from ${name(flight.src)} to ${name(flight.dst)}`;
function roleWord(state, stale, member) {
  if (!state.up) return state.silent ? "no longer heard from" : "down";
  if (state.halted) return "halted";
  if (state.paused) return "paused";
  if (stale) return "stale leader";
  if (state.role === "learner" && !member) return "not a member";
  return state.role === "precandidate" ? "pre-candidate" : state.role;
}
function extraWords(id, state, scene) {
  if (!state.up || state.paused) return "";
  const voted = state.role === "follower" && state.vote && !state.leader && state.vote !== id;
  if (state.incoming) return "snapshot arrives";
  if (state.rate !== 1) return `clock × ${state.rate}`;
  if (voted) return `voted for ${name(state.vote)}`;
  return !isMember(id, scene) && state.role !== "learner" ? "no longer a member" : "";
}
function nodeWords(id, state, scene, stale) {
  const bare = state.granted || state.role === "learner" ? String(state.term) : `term ${state.term}`;
  const parts = [name(id), roleWord(state, stale, isMember(id, scene)), extraWords(id, state, scene)];
  const drawn = [...parts, isStill(state) ? "" : bare].filter(Boolean).join(" ");
  const votes = state.granted ? `, ${state.granted.length} votes of ${new Set(state.members.sets.flat()).size}` : "";
  return `${drawn}${votes}, log to ${state.log.last}, committed to ${state.commit}`;
}
function peerWords(one) {
  if (one.pace === "snapshot") return `snapshot ${one.offset} of ${one.size} bytes`;
  const inflight = one.inflight ? `, ${one.inflight} in flight` : "";
  return `matched ${one.matched}, next ${one.next}${inflight}${one.pace === "pipeline" ? "" : ` (${one.pace})`}`;
}
function waitingWords(scene) {
  const isUp = Object.values(scene.nodes).some((state) => state.up);
  return isUp ? "followers wait; the first whose election timer fires asks for votes" : "no server is up";
}
var asFirstTold = (decision) => decision.what === "commit" && !decision.writes ? { ...decision, what: (
  /** @type {const} */
  "leads"
), line: decision.plain } : { ...decision, line: decision.plain };
function rivals(found) {
  if (found.some((one) => one.what === "leads" || one.what === "commit")) {
    return found.map((one) => one.title).join("; ");
  }
  const names2 = found.map((one) => name(one.by));
  const all = found.length > 2 ? "all" : "both";
  return `${names2.slice(0, -1).join(", ")} and ${names2.at(-1)} ${all} want to lead term ${found[0].term}`;
}
function talliesOf(decision, elected) {
  if (decision.what !== "leads") return decision.sets;
  if (!elected) return [];
  return elected.sets.map((of, place) => ({
    name: elected.sets.length > 1 ? ["C-old", "C-new"][place] : "voters",
    of,
    yes: of.filter((id) => elected.yes.includes(id)),
    no: [],
    need: Math.floor(of.length / 2) + 1
  }));
}
function chipWord(what, yes, no) {
  if (what === "commit") return yes ? "has it on disk" : "does not have it yet";
  if (yes) return "voted yes";
  return no ? "voted no" : "has not answered";
}
function tallyWords(what, { yes, of, need }) {
  if (what === "leads") return `${yes.length} of ${of.length} voted for it`;
  return `${yes.length} of ${of.length}${yes.length >= need ? ", enough" : `, ${need} needed`}`;
}
function logsWords(ids, scene) {
  const rows2 = ids.map((id) => {
    const { log, commit } = scene.nodes[id];
    return `${name(id)}: ${log.last} entries, committed to ${commit}`;
  });
  return `Logs. ${rows2.join("; ")}`;
}
function membershipWords(scene) {
  const members = governing(scene);
  if (!members || !members.sets.length) return "no cluster yet";
  const learners = members.learners.length ? `, learning: ${members.learners.map(name).join(", ")}` : "";
  if (members.sets.length > 1)
    return `joint ${members.sets.map(braces).join(" + ")} since entry ${members.at}${learners}`;
  return `${members.sets[0].length} voters ${braces(members.sets[0])}${learners}`;
}
var speedWords = (pace) => `speed: one message takes ${pace.toFixed(pace < 1 ? 2 : 1)} s`;
var paceWords = (pace) => `a message takes ${pace.toFixed(pace < 1 ? 2 : 1)} s`;

// src/controls.js
var Controls = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    const { header } = lab.store;
    this.shownPlaying = null;
    this.backward = this.button("back", "Back", () => lab.player.back());
    this.forward = this.button("step", "Step", () => lab.player.step(), "rl-main");
    this.play = h("button", { class: "rl-button rl-play", type: "button", onclick: () => lab.player.toggle() });
    this.time = h("span", { class: "rl-time" });
    this.count = h("span", { class: "rl-count-of" });
    this.quiet = h("span", { class: "rl-quiet", title: "nothing is under way" }, "8 × faster");
    this.branches = h("select", {
      "aria-label": "Branch of time",
      onchange: () => lab.openBranch(this.branches.value)
    });
    this.holding = this.toggle("Hold messages", "let messages wait half way until you decide about each (b)", "hold");
    this.freezing = this.toggle("Freeze timers", "let no timer fire (f)", "freeze");
    const menu = (event) => lab.popups.openMenu(event);
    this.doing = h("button", { class: "rl-button", type: "button", "aria-haspopup": "menu", onclick: menu }, "Actions");
    this.help = h(
      "button",
      { class: "rl-button", type: "button", "aria-label": "Keys", onclick: () => lab.popups.openKeys() },
      "?"
    );
    const reset = this.button("reset", "Reset", () => lab.player.reset(header.place.event));
    const seed = header.seed == null ? null : h("b", {}, `seed ${header.seed}`);
    this.where = h("span", { class: "rl-where" }, seed, this.time, this.count);
    this.panels = PANELS.map(([panel, label, title]) => {
      const onclick = () => lab.layout.toggle(panel);
      const look = { class: "rl-button rl-toggle rl-fold", type: "button", title, "aria-pressed": "false", onclick };
      return { panel, button: h("button", look, label) };
    });
    this.root = h(
      "div",
      { class: "rl-bar", role: "toolbar", "aria-label": "Controls" },
      reset,
      this.backward,
      this.forward,
      this.play,
      this.speed(),
      h("span", { class: "rl-space" }),
      h("span", { class: "rl-group" }, [
        ...this.panels.map((one) => one.button),
        this.holding,
        this.freezing,
        lab.can("menu") && this.doing,
        this.help
      ])
    );
  }
  /** @param {import("./dom.js").Icon} which @param {string} label @param {() => void} onclick @param {string} [extra] */
  button(which, label, onclick, extra = "") {
    return h("button", { class: `rl-button ${extra}`, type: "button", onclick }, icon(which), label);
  }
  /** @param {string} words @param {string} title @param {Switch} verb */
  toggle(words, title, verb) {
    if (!this.lab.can(verb)) return null;
    const look = { class: "rl-button rl-toggle", type: "button", title, "aria-pressed": "false" };
    return h("button", { ...look, onclick: () => this.lab.toggle(verb) }, words);
  }
  speed() {
    const words = h("output", { class: "rl-speed" }, paceWords(1));
    const label = h("label", { title: speedWords(1) }, words);
    const range = h("input", {
      type: "range",
      min: -2,
      max: 2,
      step: 0.25,
      value: 0,
      "aria-label": "Seconds that one message takes"
    });
    range.addEventListener("input", () => {
      this.lab.player.pace = 2 ** -Number(range.value);
      words.textContent = paceWords(this.lab.player.pace);
      label.title = speedWords(this.lab.player.pace);
    });
    label.append(range);
    return label;
  }
  /** @param {import("./panels.js").Panel[]} shown */
  showPanels(shown2) {
    for (const { panel, button } of this.panels) button.setAttribute("aria-pressed", String(shown2.includes(panel)));
  }
  /** Which branches there are, and which is shown. */
  fillBranches() {
    const timelines = [...this.lab.store.timelines.values()];
    const { branch } = this.lab.player;
    this.branches.classList.toggle("rl-hidden", timelines.length < 2);
    const options = timelines.map((one) => {
      const label = one.why ? `${one.name}: ${one.why}` : one.name;
      return h("option", { value: one.name, selected: one.name === branch }, label);
    });
    this.branches.replaceChildren(...options);
    this.branches.value = branch;
  }
  /** Time and event in numbers. */
  showPlace() {
    const { lab } = this;
    const { player } = lab;
    this.time.textContent = `t = ${player.time.toFixed(lab.isLive ? 3 : 4)} s`;
    this.count.textContent = `event ${lab.number(player.event)} of ${lab.number(player.timeline.seen)}`;
  }
  /** What can be pressed now. */
  refresh() {
    const { player, store } = this.lab;
    if (!player.playing) this.showPlace();
    this.quiet.classList.toggle("rl-on", player.playing && player.quiet);
    if (this.shownPlaying !== player.playing) {
      this.shownPlaying = player.playing;
      this.play.replaceChildren(icon(player.playing ? "pause" : "play"), player.playing ? "Pause" : "Play");
    }
    this.backward.disabled = player.event <= 0;
    this.forward.disabled = player.event >= player.last && !store.header.grows;
  }
  /** @param {{ closed: boolean, frozen: boolean }} gate */
  showGate(gate) {
    this.holding?.setAttribute("aria-pressed", String(gate.closed));
    this.freezing?.setAttribute("aria-pressed", String(gate.frozen));
  }
  /** A live cluster has ended: what can no longer be done is no longer offered. */
  retire() {
    for (const control of [this.holding, this.freezing, this.doing]) if (control) control.disabled = true;
  }
};
function hints(acts) {
  const hint = (keys, words) => h(
    "span",
    {},
    keys.map((key) => h("kbd", {}, key)),
    ` ${words}`
  );
  const doing = [hint(["."], "actions"), hint(["c"], "crash"), hint(["w"], "write")];
  return h(
    "div",
    { class: "rl-keys" },
    hint(["←", "→"], "step"),
    hint(["Space"], "play"),
    hint(["[", "]"], "marks"),
    hint(["1…9"], "choose a server"),
    acts && doing,
    hint(["?"], "all keys")
  );
}

// src/geometry.js
var LANE = 13;
function ringPlaces(ids, width, height, radius) {
  const wide = width / 2 - radius - 24;
  const high = height / 2 - radius - 33;
  const across = Math.min(wide, high * 1.16);
  const down = Math.min(high, wide * 1.16);
  const odd = ids.length % 2 ? down * (1 - Math.cos(Math.PI / ids.length)) / 2 : 0;
  return new Map(
    ids.map((id, place) => {
      const angle = -Math.PI / 2 + 2 * Math.PI * place / ids.length;
      const x = width / 2 + across * Math.cos(angle);
      return [id, { x, y: height / 2 + down * Math.sin(angle) + odd, angle }];
    })
  );
}
function lane(from, to, part2, radius) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const edge = (radius + 10) / length;
  const along = edge + (1 - 2 * edge) * part2;
  const bend = 4 * LANE * part2 * (1 - part2) + 4;
  return { x: from.x + dx * along - dy / length * bend, y: from.y + dy * along + dx / length * bend };
}
var between = (from, to, part2) => ({
  x: from.x + (to.x - from.x) * part2,
  y: from.y + (to.y - from.y) * part2
});
function straight(from, to, start, end) {
  const [a, b] = [between(from, to, start), between(from, to, end)];
  return `M${a.x} ${a.y}L${b.x} ${b.y}`;
}
function barPath(from, to, part2, aside) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const [right, down] = [-dy / length, dx / length];
  const at = between(from, to, part2);
  const [x, y] = [at.x + right * aside, at.y + down * aside];
  return `M${x + right * 8} ${y + down * 8}L${x - right * 8} ${y - down * 8}`;
}
function arcPath(r, part2) {
  if (part2 <= 1e-3) return "";
  if (part2 >= 0.999) return `M0 ${-r}A${r} ${r} 0 1 1 -0.01 ${-r}`;
  const angle = 2 * Math.PI * part2;
  return `M0 ${-r}A${r} ${r} 0 ${part2 > 0.5 ? 1 : 0} 1 ${r * Math.sin(angle)} ${-r * Math.cos(angle)}`;
}
function islands(ids, cut) {
  const left = new Set(ids);
  const found = [];
  for (const first of ids) {
    if (!left.delete(first)) continue;
    const group = [first];
    for (const a of group) {
      for (const b of [...left]) {
        if (cut.has(`${a}>${b}`) && cut.has(`${b}>${a}`)) continue;
        group.push(b);
        left.delete(b);
      }
    }
    found.push(group);
  }
  return found;
}
function progress(message, now, flight) {
  const due = message.due ?? message.sent + flight;
  const part2 = (now - message.sent) / Math.max(due - message.sent, 1e-9);
  return Math.max(0, Math.min(message.due == null ? 0.93 : 1, part2));
}

// src/marks.js
function messageMark(flight, isPlain) {
  const beat = flight.glyph === "H";
  const label = messageLabel(flight, isPlain);
  const size = Math.min(10.5, 25 / label.length);
  return s(
    "g",
    { class: `rl-glyph ${flight.answer ? "rl-answer" : ""} ${beat ? "rl-beat" : ""}` },
    s("circle", { r: beat ? 5 : 11 }),
    s("text", { y: 0.36 * size, "font-size": size.toFixed(1) }, label)
  );
}
var messageIcon = (flight, isPlain) => s(
  "svg",
  { width: 20, height: 20, viewBox: "-12.5 -12.5 25 25", "aria-hidden": "true" },
  messageMark(flight, isPlain)
);
function digestMark(digest) {
  const bits = hash(digest);
  const dots = [];
  for (let place = 0; place < 15; place += 1) {
    if (!(bits >> place & 1)) continue;
    const column = place % 3;
    const line = Math.floor(place / 3);
    for (const x of column === 2 ? [2] : [column, 4 - column]) dots.push(`M${x * 2.4} ${line * 2.4}h2.4v2.4h-2.4z`);
  }
  return s("path", { class: "rl-digest", d: dots.join("") });
}

// src/messages.js
var QUEUE = 4;
var MessagesView = class {
  /** @param {import("./lab.js").Lab} lab @param {import("./ring.js").RingView} ring */
  constructor(lab, ring) {
    this.lab = lab;
    this.ring = ring;
    this.marks = /* @__PURE__ */ new Map();
    this.dressed = /* @__PURE__ */ new WeakMap();
    this.flights = s("g");
    this.fallen = s("g");
    this.svg = s("svg", { class: "rl-over", role: "group", "aria-label": "Messages under way", width: "100%" });
    this.svg.append(this.fallen, this.flights);
  }
  layout() {
    const { width, height } = this.ring;
    set(this.svg, { viewBox: `0 0 ${width} ${height}`, height });
  }
  /** @param {Scene} scene */
  animate(scene) {
    this.moveMessages(scene, this.lab.player.time);
    this.moveFallen(scene, this.lab.player.time);
  }
  /** @param {Scene} scene @param {number} now */
  moveMessages(scene, now) {
    const seen = /* @__PURE__ */ new Set();
    const queues = heldQueues(scene, this.lab.held);
    for (const flight of scene.flying.values()) {
      const queue = queues.get(`${flight.src}>${flight.dst}`) ?? [];
      if (this.move(flight, queue, now)) seen.add(flight.id);
    }
    for (const [id, mark] of this.marks) {
      if (seen.has(id)) continue;
      mark.remove();
      this.marks.delete(id);
    }
  }
  /** @param {Message} flight @param {number[]} queue What is held of its lane. @param {number} now */
  move(flight, queue, now) {
    const { places, radius } = this.ring;
    const [from, to] = [places.get(flight.src), places.get(flight.dst)];
    const turn = queue.indexOf(flight.id);
    const isPicked = this.lab.message === flight.id;
    if (!from || !to || turn >= QUEUE && !isPicked) return false;
    const isHeld = turn >= 0;
    const part2 = isHeld ? 0.74 - 0.17 * Math.min(turn, QUEUE) : progress(flight, now, this.lab.store.header.flight);
    const { x, y } = lane(from, to, this.lab.player.calm && !isHeld ? 0.5 : part2, radius);
    const mark = this.marks.get(flight.id) ?? this.build(flight);
    set(mark, { transform: `translate(${x.toFixed(1)} ${y.toFixed(1)})` });
    const more = turn === QUEUE - 1 && queue.length > QUEUE ? `+${queue.length - QUEUE}` : "";
    this.dress(mark, isPicked, turn === 0 ? "‖" : more);
    return true;
  }
  /** @param {Message} flight Where it stands still for those who want no motion, an arrow says where it goes. */
  arrow(flight) {
    if (!this.lab.player.calm) return null;
    const [from, to] = [this.ring.place(flight.src), this.ring.place(flight.dst)];
    const angle = Math.atan2(to.y - from.y, to.x - from.x) * 180 / Math.PI;
    return s("path", { class: "rl-arrow", d: "M14 -5l9 5-9 5z", transform: `rotate(${angle})` });
  }
  /**
   * What changes of a message's mark while it is under way; only what did change is touched.
   *
   * @param {SVGGElement} mark @param {boolean} isPicked @param {string} held
   */
  dress(mark, isPicked, held) {
    const now = `${isPicked}${held}`;
    if (this.dressed.get(mark) === now) return;
    this.dressed.set(mark, now);
    set(mark, { "aria-pressed": isPicked });
    if (mark.lastChild) mark.lastChild.textContent = held;
  }
  /** @param {Message} flight */
  build(flight) {
    const words = messageWords(flight);
    const mark = s(
      "g",
      {
        class: "rl-message",
        role: "button",
        tabindex: -1,
        "aria-label": `${words} ${messageLabel(flight, this.lab.isPlain)}`
      },
      s("title", {}, words),
      " ",
      s("circle", { class: "rl-reach", r: 16 }),
      messageMark(flight, this.lab.isPlain),
      this.arrow(flight),
      s("text", { class: "rl-held", y: -13 })
    );
    mark.addEventListener("click", () => this.lab.pickMessage(flight.id));
    mark.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      this.lab.pickMessage(flight.id);
      this.lab.popups.openMenu(event);
    });
    this.marks.set(flight.id, mark);
    this.flights.append(mark);
    return mark;
  }
  /** @param {Scene} scene @param {number} now Messages that will never arrive stop where they were lost, with a cross. */
  moveFallen(scene, now) {
    const words = /* @__PURE__ */ new Set();
    const marks = [];
    for (const one of scene.fallen.toReversed()) {
      const isNew = !words.has(one.why);
      const mark = this.lost(one, now, isNew);
      if (mark?.classList.contains("rl-lost")) words.add(one.why);
      if (mark) marks.push(mark);
    }
    if (marks.length || this.fallen.firstChild) this.fallen.replaceChildren(...marks);
  }
  /** @param {import("./scenes.js").Fallen} one @param {number} now @param {boolean} isNew */
  lost(one, now, isNew) {
    const { places, radius } = this.ring;
    const [from, to] = [places.get(one.flight.src), places.get(one.flight.dst)];
    if (!from || !to) return null;
    const end = this.endOf(one);
    const part2 = one.flies ? Math.min(end, (now - one.flight.sent) / this.lab.store.header.flight) : end;
    const { x, y } = lane(from, to, part2, radius);
    const transform = `translate(${x} ${y})`;
    if (part2 < end) return s("g", { transform }, messageMark(one.flight, this.lab.isPlain));
    const word = isNew && s("text", { y: 19 }, one.why);
    return s("g", { class: "rl-lost", transform }, s("path", { d: "M-6 -6 6 6M6 -6 -6 6" }), word);
  }
  /** @param {import("./scenes.js").Fallen} one The part of its way that it came. */
  endOf({ flight, flies, why, time }) {
    if (flies) return 0.55;
    const due = flight.due ?? flight.sent + this.lab.store.header.flight;
    const isStopped = why === "dropped" || why === "link cut";
    return isStopped ? clamp(0.1, (time - flight.sent) / (due - flight.sent), 0.9) : 0.96;
  }
};

// src/ring.js
var INK = "#1F2933";
var ROOM = 0.36;
var SMALLEST = 21;
var CROWD = 9;
var TIGHT = 440;
var RingView = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.nodes = /* @__PURE__ */ new Map();
    this.places = /* @__PURE__ */ new Map();
    this.width = 0;
    this.height = 0;
    this.radius = 30;
    this.drawn = 30;
    this.newest = 0;
    this.frames = 0;
    this.ids = this.fitted = this.linkKey = "";
    this.svg = s("svg", { role: "group", "aria-label": "Servers", height: 380, width: "100%" });
    this.islands = s("g");
    this.links = s("g");
    this.rings = s("g");
    this.svg.append(this.islands, this.links, this.rings);
  }
  /** @param {number} width @param {number} high Fit the ring into the room there is. */
  layout(width, high) {
    this.width = clamp(250, width, 620);
    this.height = clamp(256, Math.min(this.width * (this.isTight ? 1 : 0.86), high), 420);
    this.fitted = "";
    set(this.svg, { viewBox: `0 0 ${this.width} ${this.height}`, height: this.height });
  }
  get isTight() {
    return this.lab.layout.width < TIGHT;
  }
  /** @param {number[]} ids */
  arrange(ids) {
    const key = `${ids.join()}|${this.width}`;
    if (this.fitted === key) return;
    this.fitted = key;
    this.drawn = ids.length > 7 ? SMALLEST : ids.length > 5 ? 26 : 30;
    this.radius = Math.min(this.drawn, ROOM * (Math.PI * (Math.min(this.width, this.height) - 72) / ids.length));
    const isCrowd = ids.length > CROWD;
    const isTiny = this.radius < 0.6 * SMALLEST;
    const isTight = this.isTight ? ids.length > 5 : ids.length > 7 && this.width < TIGHT;
    set(this.svg, { "data-tight": isTight, "data-crowd": isCrowd, "data-tiny": isTiny });
    this.places = ringPlaces(ids, this.width, this.height, this.radius);
    if (this.ids !== ids.join()) {
      this.ids = ids.join();
      this.nodes = new Map(ids.map((id) => [id, this.build(id)]));
      this.rings.replaceChildren(...this.nodes.values());
    }
    for (const [id, node] of this.nodes) {
      const { x, y, angle } = this.place(id);
      set(node, { transform: `translate(${x} ${y})` });
      const scale = { transform: `scale(${this.radius / this.drawn})` };
      for (const inside of node.querySelectorAll(".rl-inside")) set(inside, scale);
      this.arrangeWords(node, angle, isCrowd);
    }
  }
  /** @param {Element} node @param {number} angle @param {boolean} isCrowd In a crowd names stand around the ring. */
  arrangeWords(node, angle, isCrowd) {
    const r = this.radius;
    const above = Math.sin(angle) < -0.05;
    const aside = above && Math.abs(Math.cos(angle)) > 0.3 ? 14 * Math.sign(Math.cos(angle)) : 0;
    const x = isCrowd ? (r + 15) * Math.cos(angle) : aside;
    const y = isCrowd ? (r + 13) * Math.sin(angle) + 3 : above ? -r - 17 : r + 26;
    set(part(node, ".rl-label"), { x, y });
    set(part(node, ".rl-extra"), { x, y: y + (above ? -15 : 14) });
  }
  /** @param {number} id */
  place(id) {
    return this.places.get(id) ?? { x: 0, y: 0, angle: 0 };
  }
  /** @param {number} id */
  build(id) {
    const r = this.drawn;
    const inside = s(
      "g",
      { class: "rl-inside" },
      s("circle", { class: "rl-circle", r: r + 7 }),
      s("path", { class: "rl-left" }),
      s("circle", { class: "rl-picked", r: r + 16 }),
      s("g", { class: "rl-arcs" }),
      s("circle", { class: "rl-ring", r: r + 3.6 }),
      s("circle", { class: "rl-body", r, pathLength: 188 }),
      s("g", { class: "rl-votes" }),
      s("path", { class: "rl-mark" })
    );
    const term = s(
      "g",
      { class: "rl-inside" },
      // after the name: read aloud, the words of a server come in the order of its description
      s("text", { class: "rl-word", y: 16 }, "term"),
      " ",
      s("text", { class: "rl-numeral", y: 4 })
    );
    const group = s(
      "g",
      { class: "rl-node", tabindex: 0, role: "button", "data-id": id },
      inside,
      s(
        "text",
        { class: "rl-label" },
        s("tspan", { class: "rl-name" }, name(id)),
        " ",
        s("tspan", { class: "rl-role" })
      ),
      " ",
      s("text", { class: "rl-extra" }),
      " ",
      term
    );
    group.addEventListener("click", (event) => this.lab.pickNode(id, event.shiftKey || event.ctrlKey || event.metaKey));
    group.addEventListener("contextmenu", (event) => {
      event.preventDefault();
      this.lab.pickNode(id, false);
      this.lab.popups.openMenu(event);
    });
    return group;
  }
  /** @param {Scene} scene */
  paint(scene) {
    const ids = idsOf(scene);
    this.arrange(ids);
    this.newest = Math.max(0, ...ids.map((id) => scene.nodes[id].term));
    for (const id of ids) this.paintNode(id, scene);
    this.paintLinks(ids, scene);
  }
  /** @param {number} id @param {Scene} scene */
  paintNode(id, scene) {
    const state = scene.nodes[id];
    const group = (
      /** @type {SVGElement} */
      this.nodes.get(id)
    );
    const isPicked = this.lab.picked.has(id);
    if (isSame(group, [state, this.newest, governing(scene), isPicked, this.radius])) return;
    const member = isMember(id, scene);
    const stale = state.role === "leader" && state.term < this.newest;
    set(group, {
      "data-role": state.role,
      "data-still": isStill(state),
      "data-stale": stale,
      "data-member": member,
      "aria-pressed": isPicked,
      "aria-label": nodeWords(id, state, scene, stale)
    });
    const size = state.role === "learner" ? this.drawn * 0.74 : this.drawn;
    this.paintBody(group, state, size);
    part(group, ".rl-role").textContent = roleWord(state, stale, member);
    part(group, ".rl-extra").textContent = extraWords(id, state, scene);
    this.paintVotes(part(group, ".rl-votes"), state, size);
    this.paintArcs(part(group, ".rl-arcs"), id, scene);
  }
  /** @param {SVGElement} group @param {Server} state @param {number} size Colour, term, and a cross or bars where it stands still. */
  paintBody(group, state, size) {
    const { fill, ink } = this.lab.termColour(state.term);
    const still = isStill(state);
    const [body, numeral, word] = [".rl-body", ".rl-numeral", ".rl-word"].map((which) => part(group, which));
    set(body, { r: size });
    body.style.fill = fill;
    set(part(group, ".rl-ring"), { r: size + 3.6 });
    numeral.textContent = String(state.term);
    numeral.style.fill = word.style.fill = ink;
    numeral.style.display = still ? "none" : "";
    word.style.display = still || state.granted || state.role === "learner" ? "none" : "";
    set(numeral, { y: state.granted || state.role === "learner" ? 7 : 4 });
    const bars = state.paused ? "M-5 -10V10M5 -10V10" : "";
    set(part(group, ".rl-mark"), { d: state.up ? bars : "M-9 -9 9 9M9 -9 -9 9" });
  }
  /**
   * Votes stand in the candidate as the voters stand on the ring: full = granted, crossed = refused, open = not yet.
   *
   * @param {Element} group @param {Server} state @param {number} size
   */
  paintVotes(group, state, size) {
    if (!state.granted || !state.up) return group.replaceChildren();
    const granted = new Set(state.granted);
    const refused = new Set(state.refused);
    const votes = [...new Set(state.members.sets.flat())].map((voter) => {
      const { angle } = this.place(voter);
      const [x, y] = [(size - 8) * Math.cos(angle), (size - 8) * Math.sin(angle)];
      if (refused.has(voter))
        return s("path", { class: "rl-vote", d: `M${x - 3.4} ${y}h6.8`, "stroke-width": 2.6, stroke: INK });
      const style = `fill:${granted.has(voter) ? INK : "none"};stroke:${INK}`;
      return s("circle", { class: "rl-vote", cx: x, cy: y, r: 3.8, style });
    });
    group.replaceChildren(...votes);
  }
  /**
   * While membership is joint: an inner arc at the left of the old set's members, an outer, dotted one at the right of
   * the new set's.
   *
   * @param {Element} group @param {number} id @param {Scene} scene
   */
  paintArcs(group, id, scene) {
    const sets = governing(scene)?.sets ?? [];
    const arcs = [];
    if (sets.length > 1 && sets[0].includes(id)) arcs.push(this.arc(-1, ""));
    if (sets.length > 1 && sets[sets.length - 1].includes(id)) arcs.push(this.arc(1, "rl-new"));
    group.replaceChildren(...arcs);
  }
  /** @param {number} side @param {string} extra */
  arc(side, extra) {
    const from = 0.62;
    const r = this.drawn + (side < 0 ? 12.5 : 16.5);
    const [x, y] = [side * r * Math.cos(from), r * Math.sin(from)];
    return s("path", { class: `rl-arc ${extra}`, d: `M${x} ${-y}A${r} ${r} 0 0 ${side > 0 ? 1 : 0} ${x} ${y}` });
  }
  /** @param {number[]} ids @param {Scene} scene */
  paintLinks(ids, scene) {
    const cut = new Set(scene.cuts.map(([a, b]) => `${a}>${b}`));
    const key = `${this.ids}|${[...cut].join()}|${this.width}`;
    if (key === this.linkKey) return;
    this.linkKey = key;
    const groups = cut.size ? islands(ids, cut) : [ids];
    const drawn = [];
    for (const a of ids) {
      for (const b of ids.filter((one) => one > a)) {
        const together = groups.some((group) => group.includes(a) && group.includes(b));
        drawn.push(...this.link(a, b, cut, together));
      }
    }
    this.links.replaceChildren(...drawn);
    this.islands.replaceChildren(...groups.length > 1 ? groups.flatMap((group) => this.shade(group)) : []);
  }
  /**
   * A link: broken where it is cut, with bars unless shading tells it already; one bar on the lane that alone is closed.
   *
   * @param {number} a @param {number} b @param {Set<string>} cut @param {boolean} together
   */
  link(a, b, cut, together) {
    const [from, to] = [this.place(a), this.place(b)];
    const [there, back] = [cut.has(`${a}>${b}`), cut.has(`${b}>${a}`)];
    const line = (start, end) => s("path", { class: "rl-link", d: straight(from, to, start, end) });
    const bar = (d) => s("path", { class: "rl-cutmark", d });
    if (!there && !back) return [line(0, 1)];
    if (there !== back) return [line(0, 1), bar(there ? barPath(from, to, 0.5, LANE) : barPath(to, from, 0.5, LANE))];
    const bars = together ? [bar(barPath(from, to, 0.42, 0)), bar(barPath(from, to, 0.58, 0))] : [];
    return [line(0, 0.42), line(0.58, 1), ...bars];
  }
  /** @param {number[]} group An island: its servers on common ground, with a shore. */
  shade(group) {
    const points = group.map((id) => this.place(id));
    const lines = points.map(({ x, y }, place) => `${place ? "L" : "M"}${x} ${y}`).join("");
    const d = lines + (points.length === 1 ? "h0.1" : "Z");
    const ground = (look, width) => s("path", { class: look, d, "stroke-width": 2 * this.radius * (1 + width / this.drawn) });
    return [ground("rl-shore", 12.5), ground("rl-island", 11)];
  }
  /** @param {Scene} scene What moves here: the timers; while it plays not in every frame. */
  animate(scene) {
    const { playing, time } = this.lab.player;
    this.frames += 1;
    if (playing && this.frames % 4) return;
    for (const [id, group] of this.nodes) if (scene.nodes[id]) this.moveClock(scene.nodes[id], group, time);
  }
  /** @param {Server} state @param {SVGElement} group @param {number} now */
  moveClock(state, group, now) {
    const [track, left] = (
      /** @type {SVGGraphicsElement[]} */
      [".rl-circle", ".rl-left"].map((which) => part(group, which))
    );
    const clock = state.up && !state.halted && state.role !== "leader" ? state.clock : null;
    track.style.display = left.style.display = clock ? "" : "none";
    if (!clock) return;
    const r = this.drawn + 7;
    const ends = clock[1] ?? clock[0] + state.longest;
    const longest = Math.max(state.longest, ends - clock[0]);
    const drawn = (ends - clock[0]) / longest;
    const rest = state.paused ? drawn : clamp(0, (ends - now) / longest, 1);
    if (track.dataset.drawn !== String(clock[0])) {
      const round = 2 * Math.PI * r;
      track.dataset.drawn = String(clock[0]);
      set(track, { "stroke-dasharray": `${round * drawn} ${round}`, transform: "rotate(-90)" });
      group.classList.remove("rl-drawn");
      void track.getBBox;
      group.classList.add("rl-drawn");
    }
    left.setAttribute("d", arcPath(r, rest));
  }
};
var arcSample = (label, isNew) => [
  s(
    "svg",
    { width: 26, height: 8, "aria-hidden": "true" },
    s("path", { class: `rl-arc ${isNew ? "rl-new" : ""}`, d: "M2 4H24" })
  ),
  h("span", {}, label)
];

// src/headline.js
var REST = 600;
var REST_ALONE = 560;
var SceneView = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.ring = new RingView(lab);
    this.messages = new MessagesView(lab, this.ring);
    this.handKey = "";
    this.title = h("h3");
    this.sub = h("div", { class: "rl-sub" });
    this.tally = h("div", { class: "rl-tally" });
    this.hand = h("div", { class: "rl-hand" });
    this.fill = h("div", { class: "rl-fill" }, this.ring.svg, this.messages.svg);
    this.root = h("div", { class: "rl-card rl-scene" }, this.title, this.sub, this.fill, this.tally, this.hand);
  }
  /** @param {boolean} isAlone Nothing beside it and below it. */
  layout(isAlone) {
    const rest = isAlone ? REST_ALONE : REST;
    this.ring.layout(this.fill.clientWidth, innerHeight - rest);
    this.messages.layout();
  }
  /** @param {Scene} scene */
  paint(scene) {
    this.ring.paint(scene);
    this.paintDecision(scene);
    this.animate(scene);
  }
  /** @param {Scene} scene */
  animate(scene) {
    this.messages.animate(scene);
    this.ring.animate(scene);
  }
  /** @param {Scene} scene */
  paintDecision(scene) {
    const found = this.lab.isPlain ? scene.decisions.map(asFirstTold) : scene.decisions;
    const first = found.length ? found[0] : void 0;
    const elected = first && this.lab.player.timeline.terms[`${first.term}.${first.by}`];
    if (isSame(this.tally, [scene.decisions, elected, !first && waitingWords(scene)])) return;
    this.title.replaceChildren(...titleOf(found, elected));
    const line = first?.line ?? waitingWords(scene);
    this.sub.textContent = found.length > 1 ? line.replace(/^it /, "each ") : line;
    const rows2 = found.flatMap((one) => talliesOf(one, elected).map((tally, place) => ({ one, tally, place })));
    const many = found.length > 1;
    this.tally.replaceChildren(
      ...rows2.slice(0, 4).map(({ one, tally, place }) => this.tallied(one, tally, place, many))
    );
  }
  /**
   * One voter set as chips: who of it agrees, who refuses, and whether that is enough.
   *
   * @param {Decision} decision @param {Tally} tally @param {number} place @param {boolean} isOneOfMany
   */
  tallied(decision, tally, place, isOneOfMany) {
    const isWhole = tally.name === "voters";
    const { isPlain } = this.lab;
    const stored = isPlain ? "stored by" : "on disk";
    const what = isWhole && decision.what === "commit" ? stored : isWhole && isPlain ? "votes" : tally.name;
    const label = [isOneOfMany && name(decision.by), !(isWhole && isOneOfMany) && what].filter(Boolean).join(" ");
    const chips = tally.of.map((id) => {
      const [yes, no] = [tally.yes.includes(id), tally.no.includes(id)];
      const look = yes ? "rl-yes" : no ? "rl-no" : "";
      const words = `${name(id)} ${chipWord(decision.what, yes, no)}`;
      return h("span", { class: `rl-chip ${look}`, role: "img", "aria-label": words }, name(id));
    });
    const set2 = h("span", { class: "rl-set" }, isWhole ? label : arcSample(label, place > 0));
    return h("div", {}, set2, chips, h("span", { class: "rl-count" }, tallyWords(decision.what, tally)));
  }
  /** @param {Scene} scene What can be done to the chosen; while nothing is chosen, what the messages under way say. */
  paintHand(scene) {
    const { lab } = this;
    const actions = lab.chosenActions();
    const flight = lab.message == null ? void 0 : findFlight(scene, lab.message);
    const way = flight && `${flight.glyph}${flight.sign} ${name(flight.src)} → ${name(flight.dst)}`;
    const chosen = way ?? [...lab.picked].map(name).join(", ");
    const { closed, frozen, held } = lab.store.gate;
    const about = chosen ? [chosen, actions] : [...scene.flying.keys()];
    const key = JSON.stringify([about, held.length, closed, frozen]);
    if (key === this.handKey) return;
    this.handKey = key;
    const rest = chosen ? [h("b", {}, chosen), lab.popups.buttons(actions)] : this.underWay(scene);
    this.hand.replaceChildren(...this.held(), ...rest);
  }
  /** While messages are held: how many, and that timers may be frozen too, for nobody hears a leader meanwhile. */
  held() {
    const { lab } = this;
    const { closed, frozen, held } = lab.store.gate;
    if (!lab.isLive || !closed) return [];
    const count = held.length ? `${held.length} held: choose one (n), deliver it (o) or drop it (d)` : "every message is held from now on";
    const freeze = !frozen && lab.can("freeze");
    const offer = h(
      "button",
      { class: "rl-button", type: "button", onclick: () => lab.toggle("freeze") },
      "Freeze the timers too"
    );
    const why = h("span", {}, "the timers go on: without heartbeats, servers ask for votes again and again");
    return [h("b", {}, count), ...freeze ? [offer, why] : []];
  }
  /** @param {Scene} scene Each kind of message once, with how many there are of it. */
  underWay(scene) {
    const kinds = /* @__PURE__ */ new Map();
    for (const flight of scene.flying.values()) {
      const kind = `${flight.kind}${flight.sign}`;
      kinds.set(kind, [...kinds.get(kind) ?? [], flight]);
    }
    return [...kinds.values()].slice(0, 4).map((flights) => {
      const count = flights.length > 1 ? ` (${flights.length})` : "";
      const { isPlain } = this.lab;
      const says = `${messageSays(flights[0], isPlain)}${count}`;
      return h("span", { class: "rl-under" }, messageIcon(flights[0], isPlain), says);
    });
  }
};
function titleOf(found, elected) {
  if (!found.length) return ["Nobody leads"];
  const [{ what, title, sets }] = found;
  const leads = what === "leads" || what === "commit" && sets.length === 1;
  const by = elected && leads ? [h("span", { class: "rl-why" }, ` elected by ${elected.yes.map(name).join(", ")}`)] : [];
  return [found.length > 1 ? rivals(found) : title, ...by];
}

// src/inspector.js
var BACK = 200;
var CHAIN = 6;
var light = "font-weight:400";
var names = (ids) => ids?.length ? ids.map(name).join(" ") : null;
function durable(state) {
  const { start, last } = state.log;
  return [
    ["term", state.term, ["term"]],
    ["voted for", state.vote ? name(state.vote) : "nobody", ["vote"]],
    ["log", last > start ? `${start + 1}…${last}` : "empty", ["log"]],
    ["synced to", state.stored, ["stored"]],
    ["snapshot", state.snapshot && `to ${state.snapshot[0]} (${state.snapshot[2]} bytes)`, ["snapshot"]]
  ];
}
function volatile(state) {
  return [
    ["role", state.role, ["role"]],
    ["leader", state.leader ? name(state.leader) : "unknown", ["leader"]],
    ["commit", state.commit, ["commit"]],
    ["applied", state.applied, ["applied"]],
    ["machine", state.holds || "empty", ["holds"]],
    ["votes", names(state.granted), ["granted"]],
    ["refused", names(state.refused), ["refused"]],
    ["round", state.round, ["round"]],
    ["lease", state.lease == null ? null : state.lease ? "holds" : "no", ["lease"]],
    ["arriving", state.incoming && `${state.incoming[0]} of ${state.incoming[1]} bytes`, ["incoming"]],
    ["clock", state.rate === 1 ? null : `× ${state.rate}`, ["rate"]]
  ];
}
function rows(fields, changed) {
  const shown2 = fields.filter(([, value]) => value != null && value !== "");
  const parts = shown2.map(([label, value, keys]) => {
    const look = keys?.some((key) => changed.has(key)) ? "rl-changed" : null;
    return [h("dt", {}, label), h("dd", { class: look }, String(value))];
  });
  return h("dl", { class: "rl-fields" }, parts);
}
var section = (heading, ...content) => h("div", {}, h("h4", {}, heading), content);
var InspectorView = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.scrolled = 0;
    const onscroll = () => {
      this.scrolled = this.root.scrollTop;
    };
    this.root = h("aside", { class: "rl-card rl-inspector", "aria-label": "Inspector", tabindex: 0, onscroll });
  }
  /** @param {Scene} scene */
  paint(scene) {
    const kept = this.scrolled;
    this.root.replaceChildren(...this.content(scene));
    if (kept) this.root.scrollTop = kept;
  }
  /** @param {Scene} scene @returns {Node[]} */
  content(scene) {
    const { lab } = this;
    const picked = [...lab.picked];
    const flight = lab.message == null ? void 0 : findFlight(scene, lab.message);
    if (flight) return this.message(flight);
    if (picked.length === 1 && scene.nodes[picked[0]]) return this.node(picked[0], scene);
    if (picked.length > 1) return [...this.group(picked), ...this.event(lab.player.event, "what just happened")];
    return this.event(lab.player.event);
  }
  /** @param {number} id @param {Scene} scene */
  node(id, scene) {
    const state = scene.nodes[id];
    const changed = new Set(scene.changed[id] ?? []);
    const leads = state.role === "leader" ? ` of term ${state.term}` : "";
    const role = `${roleWord(state, false, isMember(id, scene))}${leads}`;
    const parts = [
      h("h3", {}, `${name(id)} `, h("span", { style: light }, role)),
      section("on disk: survives a crash", rows(durable(state), changed))
    ];
    if (state.up) parts.push(section("in memory: gone after a crash", rows(volatile(state), changed)));
    const peers = (state.up ? state.peers : null)?.map(
      (one) => (
        /** @type {Field} */
        [name(one.peer), peerWords(one)]
      )
    );
    if (peers) parts.push(section("what it knows of the others", rows(peers, changed)));
    if (state.halted) parts.push(h("p", {}, state.halted));
    return [...parts, ...this.event(this.lastOf(id), `last at ${name(id)}`)];
  }
  /** @param {number} id The last event at a server, as far as it is at hand. */
  lastOf(id) {
    const { store, player } = this.lab;
    for (let index = player.event; index >= Math.max(0, player.event - BACK); index -= 1) {
      const event = store.knownEvent(player.branch, index);
      if (!event) return -1;
      if (event.node === id) return index;
    }
    return -1;
  }
  /** @param {number[]} ids */
  group(ids) {
    const words = "Chosen together: isolate them, or (if they are two) cut their link.";
    return [h("h3", {}, ids.map(name).join(", ")), h("div", {}, words)];
  }
  /** @param {import("./wire.js").MessageDrawing} flight */
  message(flight) {
    const fields = [
      ["from", name(flight.src)],
      ["to", name(flight.dst)],
      ["left at", seconds(flight.sent)],
      ["arrives at", flight.due == null ? "under way" : seconds(flight.due)],
      ...flight.says,
      ["copy of", flight.copy && `message ${flight.copy}`]
    ];
    return [
      h("h3", {}, `${flight.glyph}${flight.sign} `, h("span", { style: light }, flight.name)),
      rows(fields, /* @__PURE__ */ new Set()),
      section("because", this.chain(flight.cause))
    ];
  }
  /** @param {number} index @param {string} [heading] */
  event(index, heading) {
    const { store, player } = this.lab;
    const event = index >= 0 ? store.event(player.branch, index) : null;
    if (!event) return [];
    const number = this.lab.number(event.id);
    const at = h("span", { style: light }, event.node ? ` at ${name(event.node)}` : "");
    const parts = heading ? [h("h4", {}, `${heading}: event ${number}`), h("div", {}, event.text)] : [h("h3", {}, `Event ${number}`, at)];
    const rule = event.rule && store.rules[event.rule];
    if (rule) parts.push(...this.rule(rule, event.ran ?? []));
    if (event.cause != null) parts.push(section("because", this.chain(event.cause)));
    return parts;
  }
  /** @param {import("./wire.js").RuleSource} rule @param {number[]} ran */
  rule(rule, ran) {
    const label = h(
      "div",
      {},
      h("b", {}, rule.label),
      h("span", { class: "rl-paper", style: "color:var(--rl-muted)" }, ` ${rule.section}`)
    );
    return [
      h("div", {}, label, h("div", { class: "rl-sub" }, rule.meaning)),
      section(`decided in ${rule.where}: the marked lines ran`, this.code(rule, ran))
    ];
  }
  /** @param {import("./wire.js").RuleSource} rule @param {number[]} ran */
  code(rule, ran) {
    const marked = new Set(ran);
    const lines = dedent(rule.lines).map((line, place) => {
      const code = line.trimStart();
      const look = {
        class: marked.has(rule.first + place) ? "rl-ran" : null,
        style: `--rl-deep:${line.length - code.length}`
      };
      return h("span", look, code || " ");
    });
    return h("pre", { class: "rl-code", tabindex: 0, role: "group", "aria-label": `Source of ${rule.where}` }, lines);
  }
  /** @param {number} cause The events that led here, newest first; each is a way back. */
  chain(cause) {
    const { store, player } = this.lab;
    const items = [];
    for (let index = cause; index >= 0 && items.length < CHAIN; ) {
      const event = store.event(player.branch, index);
      const at = index;
      if (!event) break;
      const number = h("small", {}, `${this.lab.number(event.id)} · `);
      const way = { type: "button", title: "go there", onclick: () => player.go(at) };
      items.push(h("li", {}, h("button", way, number, withoutSections(event.text))));
      index = event.cause ?? -1;
    }
    const outside = "caused from outside (by you, or by a timer)";
    return items.length ? h("ul", { class: "rl-chain" }, items) : h("div", { class: "rl-sub" }, outside);
  }
};

// src/keyboard.js
function keyTable(lab) {
  const { player } = lab;
  const chosen = (...verbs) => () => {
    const found = lab.chosenActions().find((one) => verbs.includes(one.verb));
    if (found) lab.popups.perform(found);
  };
  const cluster = (key) => () => {
    const found = lab.clusterActions().find((one) => one.key === key);
    if (found) lab.popups.perform(found);
  };
  const menu = () => {
    if (lab.can("menu")) lab.popups.openMenu();
  };
  return {
    ArrowRight: () => player.step(),
    ArrowLeft: () => player.back(),
    " ": () => player.toggle(),
    Home: () => player.go(0),
    End: () => player.go(player.timeline.seen),
    "[": () => lab.timeline.jump(-1),
    "]": () => lab.timeline.jump(1),
    n: () => lab.pickNext(),
    ".": menu,
    ContextMenu: menu,
    "?": () => lab.popups.openKeys(),
    c: chosen("crash"),
    r: chosen("restart"),
    p: chosen("pause", "resume"),
    t: chosen("timeout"),
    l: chosen("transfer"),
    s: chosen("snapshot"),
    x: chosen("partition"),
    k: chosen("cut"),
    o: chosen("release"),
    d: chosen("drop"),
    u: chosen("duplicate"),
    y: chosen("delay"),
    h: cluster("h"),
    w: cluster("w"),
    g: cluster("g"),
    a: cluster("a"),
    m: cluster("m"),
    b: cluster("b"),
    f: cluster("f")
  };
}
function onKey(lab, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = (
    /** @type {Element} */
    event.target
  );
  const pressed = event.key;
  const act = pressed === "Escape" ? () => lab.escape() : actOf(lab, target, event);
  if (!act) return;
  event.preventDefault();
  if (!(pressed === "Enter" && target.classList.contains("rl-node"))) event.stopPropagation();
  act();
}
function actOf(lab, target, event) {
  if (lab.popups.pop?.contains(target) || target.matches("input, select, textarea")) return null;
  const isNode = target.classList.contains("rl-node");
  const isButton = target.matches("button") || target.getAttribute("role") === "button";
  if (isButton && !isNode && (event.key === " " || event.key === "Enter")) return null;
  if (isNode && event.key === "Enter") {
    return () => void target.dispatchEvent(new MouseEvent("click", { shiftKey: event.shiftKey }));
  }
  const digit = /^Digit([1-9])$/.exec(event.code ?? "");
  return keyTable(lab)[event.key] ?? (digit ? () => lab.pickNumber(Number(digit[1]), event.shiftKey) : null);
}

// src/entries.js
function entriesOf(log, first, right) {
  const found = [];
  const start = Math.max(first, log.start + 1);
  let run = lastAtMost(log.runs, start, (one) => one[0]);
  for (let index = start; index <= Math.min(right, log.last); index += 1) {
    while (log.runs[run + 1]?.[0] <= index) run += 1;
    if (log.runs[run]) found.push([index, log.runs[run][1], log.runs[run][2]]);
  }
  return found;
}
function governs(log, book, index) {
  for (let place = index; place > log.start; place -= 1) {
    const run = log.runs[lastAtMost(log.runs, place, (one) => one[0])];
    const entry = run && book[`${place}.${run[1]}.${run[2]}`];
    if (!entry) return null;
    if (entry[2]) return entry[2];
  }
  return null;
}
function windowOf(right, newest, columns) {
  const last = right ?? newest;
  return { first: last - columns + 1, last };
}

// src/logs.js
var CELL = 36;
var HALF = 16;
var BARS = 12;
function legend() {
  const cell = (look) => s(
    "g",
    { class: `rl-cell ${look}` },
    s("rect", { x: 1.5, y: 1.5, width: 11, height: 11, rx: 2, fill: "none" }),
    s("rect", { class: "rl-edge", x: 1.5, y: 1.5, width: 11, height: 11, rx: 2 })
  );
  const marks = (
    /** @type {[string, Element, string][]} */
    [
      [".rl-done", cell("rl-done"), "committed"],
      [".rl-cell:not(.rl-done)", cell(""), "not yet committed"],
      [".rl-wet", cell("rl-pale"), "not on disk yet"],
      [".rl-match", s("circle", { class: "rl-match", cx: 7, cy: 7, r: 3.5 }), "matches the leader's"],
      [".rl-next", s("path", { class: "rl-next", d: "M7 3l4.5 8h-9z" }), "is sent next"],
      [".rl-digest", s("g", { transform: "translate(1 1)" }, digestMark("legend")), "same picture, same state"]
    ]
  );
  return marks.map(([where, mark, words]) => {
    const svg = s("svg", { viewBox: "0 0 14 14", "aria-hidden": "true" }, mark);
    return { where, root: h("span", {}, svg, words) };
  });
}
var LogsView = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.right = null;
    this.first = 1;
    this.last = 1;
    this.columns = 5;
    this.width = 0;
    this.rowHeight = 52;
    this.isBeside = false;
    this.key = "";
    this.svg = s("svg", { role: "img", width: "100%" });
    this.earlier = this.slideButton("◂", "Earlier entries", -6);
    this.later = this.slideButton("▸", "Later entries", 6);
    this.slider = h("span", { class: "rl-slide" }, this.earlier, this.later);
    this.legend = legend();
    this.sub = h("div", { class: "rl-sub" });
    const fill = h("div", { class: "rl-fill", style: "padding-top:10px" }, this.svg);
    const foot = h(
      "div",
      { class: "rl-legend" },
      this.legend.map((one) => one.root),
      this.slider
    );
    this.root = h("div", { class: "rl-card rl-logs" }, h("h3", {}, "Logs"), this.sub, fill, foot);
    this.svg.addEventListener("wheel", (event) => this.wheel(event), { passive: false });
  }
  /** @param {string} label @param {string} words @param {number} by */
  slideButton(label, words, by) {
    const look = { class: "rl-button", type: "button", "aria-label": words, onclick: () => this.slide(by) };
    return h("button", look, label);
  }
  /** @param {WheelEvent} event */
  wheel(event) {
    if (!event.shiftKey && Math.abs(event.deltaX) <= Math.abs(event.deltaY)) return;
    event.preventDefault();
    this.slide(Math.sign(event.deltaX + event.deltaY));
  }
  /** @param {number} width */
  layout(width) {
    this.width = Math.max(280, width);
    this.columns = Math.max(5, Math.floor((this.width - 56) / CELL));
    this.isBeside = this.root.offsetTop === this.lab.scene.root.offsetTop;
    this.redraw();
  }
  redraw() {
    this.key = "";
    forget(this.svg);
  }
  /** @param {number} by Columns. */
  slide(by) {
    const { scene } = this.lab.player;
    if (!scene) return;
    const newest = this.newest(scene);
    const right = clamp(this.columns, (this.right ?? newest) + by, newest);
    this.right = right >= newest ? null : right;
    this.redraw();
    this.paint(scene);
  }
  /** @param {Scene} scene The newest column. */
  newest(scene) {
    return Math.max(this.columns, 1 + Math.max(0, ...Object.values(scene.nodes).map((state) => state.log.last)));
  }
  /** @param {Scene} scene */
  paint(scene) {
    const ids = idsOf(scene);
    const decides = scene.decisions.length ? scene.decisions[0].by : 0;
    const leader = ids.find((id) => scene.nodes[id].role === "leader" && id === decides);
    const { first, last } = windowOf(this.right, this.newest(scene), this.columns);
    if (isSame(this.svg, [scene.nodes, scene.decisions, last, this.width, this.lab.store.chunks.size])) return;
    const key = JSON.stringify([
      first,
      leader,
      ids.map((id) => shownOf(scene.nodes[id])),
      leader && scene.nodes[leader].peers
    ]);
    if (key === this.key) return;
    this.key = key;
    [this.first, this.last] = [first, last];
    this.draw(scene, ids, leader);
  }
  /** @param {Scene} scene @param {number[]} ids @param {number | undefined} leader */
  draw(scene, ids, leader) {
    const room = (this.lab.scene.ring.height - 20) / ids.length;
    this.rowHeight = this.isBeside ? clamp(46, room, 64) : 52;
    const height = 30 + this.rowHeight * ids.length;
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height, "aria-label": logsWords(ids, scene) });
    const rows2 = ids.map((id, row) => this.row(id, row, scene, leader));
    this.svg.replaceChildren(this.head(), ...rows2, this.commitLine(ids, scene, leader, height));
    for (const { where, root } of this.legend) root.classList.toggle("rl-hidden", !this.svg.querySelector(where));
    this.sub.textContent = membershipWords(scene);
    this.earlier.disabled = this.first <= 1;
    this.later.disabled = this.right == null;
    this.slider.classList.toggle("rl-hidden", this.earlier.disabled && this.later.disabled);
  }
  /** @param {number} index The middle of its column. */
  x(index) {
    return 52 + (index - this.first + 0.5) * CELL;
  }
  /** @param {number} index */
  isInside(index) {
    return index >= Math.max(this.first, 1) && index <= this.last;
  }
  head() {
    const labels = [];
    for (let index = Math.max(1, this.first); index <= this.last; index += 1)
      labels.push(s("text", { x: this.x(index), y: 22 }, index));
    if (this.first > 1) labels.push(s("text", { x: 44, y: 22, style: "text-anchor:end" }, `${this.first - 1} before`));
    return s("g", { class: "rl-scale" }, labels);
  }
  /** @param {number} id @param {number} row @param {Scene} scene @param {number | undefined} leader */
  row(id, row, scene, leader) {
    const state = scene.nodes[id];
    const y = 30 + row * this.rowHeight;
    const group = s(
      "g",
      {},
      s("text", { class: `rl-row ${state.up ? "" : "rl-off"}`, x: 0, y: y + 17 }, name(id)),
      this.machine(id, state, y)
    );
    const cells = entriesOf(state.log, Math.max(this.first, 1), this.last);
    for (const [index, term, by] of cells) group.append(this.cell(index, term, by, state, y));
    if (state.incoming) group.append(this.incoming(state.incoming, state.chunk, y));
    else if (state.log.start >= this.first) group.append(this.snapshot(y, state.log.start));
    group.append(...this.joint(state, y));
    const peer = leader && leader !== id && scene.nodes[leader].peers?.find((one) => one.peer === id);
    if (peer) group.append(...this.peerMarks(peer, y));
    return group;
  }
  /** @param {number} id @param {Server} state @param {number} y Equal state machines have equal little pictures. */
  machine(id, state, y) {
    if (!state.digest || !state.up || this.lab.isPlain) return null;
    const words = s("title", {}, `state machine: ${state.holds || "empty"} (${state.digest})`);
    const ground = s("rect", { width: 12, height: 12, fill: "transparent" });
    const x = name(id).length > 2 ? 31 : 24;
    return s("g", { transform: `translate(${x} ${y + 6})` }, words, ground, digestMark(state.digest));
  }
  /** @param {number} index @param {number} term @param {number} by @param {Server} state @param {number} y */
  cell(index, term, by, state, y) {
    const { fill, ink } = this.lab.termColour(term);
    const entry = this.lab.store.book[`${index}.${term}.${by}`];
    const isFirst = this.lab.isPlain && term === 0;
    const label = clip(isFirst ? "start" : entry?.[0] ?? "");
    const [done, wet] = [index <= state.commit, index > state.stored];
    const x = this.x(index);
    const size = Math.min(8.5, 45 / label.length);
    return s(
      "g",
      { class: `rl-cell ${done ? "rl-done" : ""} ${wet ? "rl-wet" : ""}` },
      s("title", {}, this.cellWords(index, term, entry, state)),
      s("rect", {
        x: x - HALF,
        y,
        width: 2 * HALF,
        height: 32,
        rx: 5,
        style: `fill:${wet ? `color-mix(in srgb, ${fill} 42%, #fff)` : fill}`
      }),
      s("rect", {
        class: "rl-edge",
        x: x - HALF + 2.2,
        y: y + 2.2,
        width: 2 * HALF - 4.4,
        height: 27.6,
        rx: 3.5,
        style: `stroke:${ink}`
      }),
      s("text", { class: "rl-n", x, y: y + 16, style: `fill:${ink}` }, isFirst ? "" : term),
      s("text", { class: "rl-l", x, y: y + 27, style: `fill:${ink};font-size:${size}px` }, label)
    );
  }
  /** @param {number} index @param {number} term @param {import("./wire.js").BookEntry | undefined} entry @param {Server} state */
  cellWords(index, term, entry, state) {
    const sets = governs(state.log, this.lab.store.book, index)?.sets;
    const words = [
      `entry ${index}, term ${term}${entry ? `: ${entry[0]}` : ""}`,
      index <= state.commit ? "committed" : "not known to be committed",
      index > state.stored && "not on disk yet",
      sets?.length && `governed by ${sets.map(braces).join(" + ")}`
    ];
    return words.filter(Boolean).join("; ");
  }
  /** @param {number} y @param {number} last */
  snapshot(y, last) {
    const left = this.x(Math.max(this.first, 1)) - HALF;
    const width = this.x(last) + HALF - left;
    const words = width > 76 ? `snapshot to ${last}` : "snap";
    const box = s("rect", { x: left, y, width, height: 32, rx: 5 });
    return s("g", { class: "rl-snap" }, box, s("text", { x: left + width / 2, y: y + 20 }, words));
  }
  /** @param {import("./wire.js").IncomingSnapshot} incoming @param {number} chunk Bytes. @param {number} y */
  incoming([offset, size, last], chunk, y) {
    const [count, done] = [Math.ceil(size / chunk), Math.floor(offset / chunk)];
    const shown2 = Math.min(count, BARS);
    const left = this.x(Math.max(this.first, 1)) - HALF;
    const width = Math.max(128, this.x(last) + HALF - left);
    const step = (width - 16) / shown2;
    const bars = Array.from({ length: shown2 }, (_, place) => {
      const isEmpty = place >= Math.round(done / count * shown2);
      const box = { x: left + 8 + place * step, y: y + 19, width: step - 2, height: 8, style: "stroke-width:1" };
      return s("rect", { class: `rl-chunk ${isEmpty ? "rl-empty" : ""}`, ...box });
    });
    const words = s("text", { x: left + width / 2, y: y + 13 }, `snapshot to ${last}: ${done} of ${count}`);
    return s("g", { class: "rl-snap" }, s("rect", { x: left, y, width, height: 32, rx: 5 }), words, bars);
  }
  /** @param {Server} state @param {number} y A double line above entries that are governed by two voter sets. */
  joint(state, y) {
    const lines = [];
    for (let index = Math.max(this.first, 1); index <= Math.min(this.last, state.log.last); index += 1) {
      if ((governs(state.log, this.lab.store.book, index)?.sets.length ?? 0) < 2) continue;
      const x = this.x(index) - CELL / 2;
      lines.push(s("path", { class: "rl-joint", d: `M${x} ${y - 6.5}h${CELL}M${x} ${y - 3.5}h${CELL}` }));
    }
    return lines;
  }
  /** @param {import("./wire.js").PeerProgress} peer @param {number} y */
  peerMarks(peer, y) {
    const below = y + 40;
    const marks = [];
    if (this.isInside(peer.matched))
      marks.push(s("circle", { class: "rl-match", cx: this.x(peer.matched), cy: below, r: 3 }));
    if (this.isInside(peer.next))
      marks.push(s("path", { class: "rl-next", d: `M${this.x(peer.next)} ${below - 4}l4.5 7.5h-9z` }));
    return marks;
  }
  /** @param {number[]} ids @param {Scene} scene @param {number | undefined} leader @param {number} height */
  commitLine(ids, scene, leader, height) {
    const at = leader ? scene.nodes[leader].commit : Math.max(0, ...ids.map((id) => scene.nodes[id].commit));
    if (at === 0 || at < this.first || at > this.last) return s("g");
    const x = this.x(at) + CELL / 2;
    const line = s("line", { class: "rl-commit", x1: x, x2: x, y1: 10, y2: height - 14 });
    const style = "text-anchor:end;font-weight:700;fill:var(--rl-ink)";
    return s("g", { class: "rl-scale" }, line, s("text", { x: x - 3, y: 8, style }, "committed"));
  }
};
var shownOf = (one) => [
  one.log,
  one.commit,
  one.stored,
  one.up,
  one.snapshot,
  one.incoming,
  one.digest,
  one.members.at
];

// src/layout.js
var Layout = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.chosen = null;
    this.shown = "";
  }
  get open() {
    return this.chosen ?? openAtFirst(this.lab.store.header.opening.view, this.width);
  }
  get width() {
    return this.lab.stage.clientWidth;
  }
  fit() {
    const { lab, width } = this;
    const panels = shownPanels(this.open, width);
    const key = `${width} ${innerHeight} ${panels.join(" ")}`;
    if (key === this.shown || !width) return;
    this.shown = key;
    const side = panels.filter((one) => one !== "tape").sort();
    lab.stage.dataset.side = side.join("+") || "none";
    lab.stage.dataset.tape = String(panels.includes("tape"));
    lab.controls.showPanels(panels);
    lab.scene.layout(panels.length === 0);
    lab.logs.layout(lab.logs.root.clientWidth - 26);
    lab.timeline.layout(lab.timeline.root.clientWidth - 8);
    lab.drawn = 0;
    lab.paint();
  }
  /** @param {import("./panels.js").Panel} panel Open or fold it. */
  toggle(panel) {
    const hasNoRoom = this.open.includes(panel) && !shownPanels(this.open, this.width).includes(panel);
    const once = toggled(this.open, panel);
    this.chosen = hasNoRoom ? toggled(once, panel) : once;
    this.fit();
  }
};

// src/orders.js
var GIVEN_UP = 5e3;
var Orders = class {
  /** @param {import("./player.js").Player} player @param {import("./store.js").Link} link */
  constructor(player, link) {
    this.player = player;
    this.link = link;
    this.waiting = [];
    this.given = 0;
  }
  /** @param {Order} order */
  add(order) {
    this.waiting.push(order);
    if (this.waiting.length === 1 || performance.now() - this.given > GIVEN_UP) this.give();
  }
  /** The first was carried out: give the next. */
  next() {
    this.waiting.shift();
    this.give();
  }
  give() {
    const { branch, event, time } = this.player;
    this.given = performance.now();
    if (this.waiting.length) this.link.send({ do: "act", branch, event, time, order: this.waiting[0] });
  }
  /** Something went wrong: what still waits was meant for another moment. */
  clear() {
    this.waiting.length = 0;
  }
};

// src/store.js
var CHUNK = 64;
var AGAIN = 2e3;
var Store = class {
  /** @param {Link} link */
  constructor(link) {
    this.link = link;
    this.header = link.header();
    this.timelines = /* @__PURE__ */ new Map();
    this.chunks = /* @__PURE__ */ new Map();
    this.asked = /* @__PURE__ */ new Map();
    this.book = {};
    this.rules = {};
    this.gate = this.header.gate ?? { closed: false, frozen: false, held: [] };
    for (const timeline of this.header.timelines) this.takeTimeline(timeline);
    for (const [branch, chunk] of link.chunks()) this.takeChunk(branch, chunk);
  }
  /** @param {Timeline} timeline */
  takeTimeline(timeline) {
    const old = this.timelines.get(timeline.name);
    if (old && timeline.version !== old.version) this.dropChunks(timeline);
    const seen = old && timeline.version === old.version ? Math.max(timeline.seen, old.seen) : timeline.seen;
    this.timelines.set(timeline.name, { ...timeline, seen });
    this.asked.clear();
  }
  /** @param {Timeline} timeline Events after the first `kept` are others now. */
  dropChunks(timeline) {
    for (const key of this.chunks.keys()) {
      const cut = key.lastIndexOf("/");
      const end = (Number(key.slice(cut + 1)) + 1) * CHUNK;
      if (key.slice(0, cut) === timeline.name && end > timeline.kept) this.chunks.delete(key);
    }
  }
  /**
   * What a branch has more, or has otherwise, from event `from` on; false where something between was missed.
   *
   * @param {Timeline} news
   */
  grow(news) {
    const old = this.timelines.get(news.name);
    if (news.from > (old?.times.length ?? 0)) return false;
    const times = [...old?.times.slice(0, news.from) ?? [], ...news.times];
    const bands = [...old?.bands.filter((band) => band[0] < news.from) ?? [], ...news.bands];
    const marks = [...old?.marks.filter((mark) => mark[0] < news.from) ?? [], ...news.marks];
    this.takeTimeline({ ...news, times, bands, marks });
    return true;
  }
  /** @param {string} branch @param {Chunk} chunk */
  takeChunk(branch, chunk) {
    Object.assign(this.book, chunk.book);
    Object.assign(this.rules, chunk.rules);
    this.chunks.set(`${branch}/${chunk.number}`, { ...chunk, scenes: [keyScene(chunk.key)] });
    this.asked.delete(`${branch}/${chunk.number}`);
  }
  /**
   * The scene right after event `index` (-1: before everything); null while its chunk is still to come.
   *
   * @param {string} branch @param {number} index
   */
  scene(branch, index) {
    const chunk = this.chunkOf(branch, Math.max(index, 0));
    if (!chunk) return null;
    const wanted = index < 0 ? 0 : index - chunk.number * CHUNK + 1;
    while (chunk.scenes.length <= wanted) {
      const event = chunk.events[chunk.scenes.length - 1];
      chunk.scenes.push(nextScene(chunk.scenes[chunk.scenes.length - 1], event, this.header.flight));
    }
    return chunk.scenes[wanted];
  }
  /** @param {string} branch @param {number} index */
  event(branch, index) {
    if (index < 0) return null;
    return this.chunkOf(branch, index)?.events[index % CHUNK] ?? null;
  }
  /**
   * An event if it is at hand: nothing is asked for.
   *
   * @param {string} branch @param {number} index
   */
  knownEvent(branch, index) {
    return this.chunks.get(`${branch}/${Math.floor(index / CHUNK)}`)?.events[index % CHUNK] ?? null;
  }
  /**
   * The chunk with an event; where it is missing it is asked for.
   *
   * @param {string} branch @param {number} index
   */
  chunkOf(branch, index) {
    const number = Math.floor(index / CHUNK);
    const key = `${branch}/${number}`;
    const chunk = this.chunks.get(key);
    if (chunk && index - number * CHUNK < Math.max(chunk.events.length, 1)) return chunk;
    const now = performance.now();
    const before = this.asked.get(key);
    if (before === void 0 || now - before > AGAIN) {
      this.asked.set(key, now);
      this.link.send({ do: "want", branch, chunk: number });
    }
    return null;
  }
};

// src/player.js
var REPORT = 150;
var REST2 = 0.7;
var QUICK = 8;
var STEP = 0.45;
var Player = class {
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
    this.pace = 1;
    this.playing = false;
    this.quiet = false;
    this.waits = false;
    this.goal = null;
    this.frame = 0;
    this.reported = 0;
    this.rested = 0;
    this.wanted = "";
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
    return (
      /** @type {import("./wire.js").Timeline} */
      this.store.timelines.get(this.branch)
    );
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
    const tick = (now) => {
      this.frame = 0;
      const passed = Math.min(now - before, 100) / 1e3;
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
    if (this.rested < REST2 * this.pace) return;
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
    const { name: name2, version, count, limit } = this.timeline;
    const known = `${name2}/${version}/${count}`;
    if (count - this.event < CHUNK && count < limit && this.wanted !== known) {
      this.wanted = known;
      this.store.link.send({ do: "ahead", branch: this.branch, events: this.event + 3 * CHUNK });
    }
    return count < limit;
  }
};

// src/popups.js
var Popups = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.pop = null;
    this.before = null;
    this.writes = 0;
  }
  /** @param {Action[]} actions */
  buttons(actions) {
    const made = actions.map((one) => {
      const look = { class: "rl-button", type: "button", "aria-keyshortcuts": one.key || null };
      return h("button", { ...look, onclick: () => this.perform(one) }, one.label);
    });
    return h("div", { class: "rl-actions" }, made);
  }
  /** @param {Action} action */
  perform(action2) {
    if (action2.order) return this.lab.act(action2.order);
    if (action2.form === "write") this.openWrite();
    else if (action2.form === "read") this.openRead();
    else this.openMembership();
  }
  /** @param {import("./dom.js").Child[]} content @param {Element | null} beside @param {{ x: number, y: number }} [at] @param {string} [label] Of a menu. */
  open(content, beside, at, label) {
    const { root } = this.lab;
    this.close();
    this.before = document.activeElement;
    this.pop = h(
      "div",
      { class: "rl-pop", role: label ? "menu" : "dialog", "aria-label": label ?? "Form", tabindex: -1 },
      content
    );
    root.append(this.pop);
    const frame = root.getBoundingClientRect();
    const box = beside?.getBoundingClientRect();
    const [x, y] = at ? [at.x, at.y] : [box?.left ?? frame.left, box?.bottom ?? frame.top];
    const left = clamp(4, x - frame.left, Math.max(4, frame.width - this.pop.offsetWidth - 4));
    set(this.pop, { style: `left:${left}px;top:${y - frame.top + 4}px` });
    const first = (
      /** @type {HTMLElement | null} */
      this.pop.querySelector("input,select,[role=menuitem]")
    );
    (first ?? this.pop).focus({ preventScroll: true });
    this.pop.scrollTop = 0;
    this.pop.scrollIntoView?.({ block: "nearest" });
    return this.pop;
  }
  close() {
    this.pop?.remove();
    this.pop = null;
  }
  /** Close, and give the focus back. */
  leave() {
    this.close();
    const back = this.before && this.lab.root.contains(this.before) ? this.before : this.lab.root;
    back.focus({ preventScroll: true });
  }
  /** @param {Event} [event] */
  openMenu(event) {
    const { lab } = this;
    const chosen = lab.chosenActions();
    const who = lab.message != null ? "this message" : [...lab.picked].map(name).join(", ");
    const hint = "Click a server or a message, or press 1 … 9 or n";
    const item = (one) => h(
      "button",
      { role: "menuitem", type: "button", tabindex: -1, onclick: () => this.perform(one) },
      one.label,
      one.key && h("kbd", {}, one.key)
    );
    const heading = h("h4", {}, chosen.length ? who : hint);
    const parts = [heading, ...chosen.map(item), h("h4", {}, "the cluster"), ...lab.clusterActions().map(item)];
    const at = event instanceof MouseEvent && event.type === "contextmenu" ? { x: event.clientX, y: event.clientY } : void 0;
    const pop = this.open(parts, lab.controls.doing, at, "Actions");
    pop.addEventListener("keydown", (pressed) => this.walk(pop, pressed));
  }
  /** @param {HTMLElement} pop @param {KeyboardEvent} event */
  walk(pop, event) {
    const items = (
      /** @type {HTMLElement[]} */
      [...pop.querySelectorAll('[role="menuitem"]')]
    );
    const at = items.findIndex((item) => item === document.activeElement);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    event.stopPropagation();
    items[(at + step + items.length) % items.length]?.focus();
  }
  /**
   * A small form; `submit` gets what was typed, by name.
   *
   * @param {string} title @param {import("./dom.js").Child[]} fields
   * @param {(typed: Record<string, string>) => void} submit @param {string} button
   */
  form(title, fields, submit, button) {
    const done = () => {
      const inputs = (
        /** @type {NodeListOf<HTMLInputElement>} */
        form.querySelectorAll('input[type="text"]')
      );
      submit(Object.fromEntries([...inputs].map((input) => [input.name, input.value])));
    };
    const yes = h("button", { class: "rl-button rl-main", type: "button", onclick: done }, button);
    const no = h("button", { class: "rl-button", type: "button", onclick: () => this.leave() }, "Cancel");
    const form = h(
      "div",
      { class: "rl-form", role: "group", "aria-label": title },
      h("h4", {}, title),
      fields,
      h("div", { class: "rl-actions" }, yes, no)
    );
    form.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || !(event.target instanceof HTMLInputElement)) return;
      event.preventDefault();
      event.stopPropagation();
      done();
    });
    this.open([form], this.lab.controls.doing);
  }
  /** @param {string} field @param {string | number} value */
  text(field, value) {
    return h("label", {}, field, h("input", { type: "text", name: field, value, autocomplete: "off" }));
  }
  /** The server that is chosen alone, whom a client would ask; null: the leader. */
  asked() {
    const picked = [...this.lab.picked];
    return picked.length === 1 ? picked[0] : null;
  }
  openWrite() {
    const node = this.asked();
    this.writes += 1;
    const title = `Write to ${node == null ? "the leader" : name(node)}`;
    const fields = [this.text("key", "x"), this.text("value", this.writes)];
    this.form(
      title,
      fields,
      ({ key, value }) => this.lab.act({ type: "write", key, value: typed(value), node }),
      "Write"
    );
  }
  openRead() {
    const node = this.asked();
    const title = `Read from ${node == null ? "the leader" : name(node)}`;
    this.form(title, [this.text("key", "x")], ({ key }) => this.lab.act({ type: "read", key, node }), "Read");
  }
  openMembership() {
    const { scene } = this.lab.player;
    if (!scene) return;
    const voters = new Set(governing(scene)?.sets.at(-1));
    const known = idsOf(scene).filter((id) => isMember(id, scene));
    const boxes = known.map(
      (id) => h("label", {}, h("input", { type: "checkbox", name: "voter", value: id, checked: voters.has(id) }), name(id))
    );
    const submit = () => {
      const checked = (
        /** @type {NodeListOf<HTMLInputElement>} */
        this.pop?.querySelectorAll("input:checked")
      );
      this.lab.act({ type: "membership", nodes: [...checked].map((box) => Number(box.value)) });
    };
    this.form("Choose the voters", [h("div", { class: "rl-boxes" }, boxes)], submit, "Change");
  }
  openKeys() {
    const rows2 = usableKeys((verb) => this.lab.can(verb)).map(([keys, words]) => [
      h("dt", {}, h("kbd", {}, keys)),
      h("dd", {}, words)
    ]);
    const close = h("button", { class: "rl-button", type: "button", onclick: () => this.leave() }, "Close");
    const top = h("div", { class: "rl-pop-head" }, h("h4", {}, "Keys"), close);
    const pop = this.open([top, h("dl", {}, rows2)], this.lab.controls.help);
    set(pop, { "aria-label": "Keys" });
  }
};

// src/start.js
var STARTS = 800;
function startWhenSeen(root, player, start) {
  if (player.until == null) return () => {
  };
  let starts;
  const leave = () => {
    clearTimeout(starts);
    seer.disconnect();
  };
  const begin = () => {
    leave();
    start();
  };
  const look = ([{ isIntersecting }]) => {
    clearTimeout(starts);
    if (isIntersecting) starts = setTimeout(begin, STARTS);
  };
  const seer = new IntersectionObserver(look, { threshold: 0.4 });
  seer.observe(root);
  for (const taken of ["pointerdown", "keydown"]) root.addEventListener(taken, leave, { once: true });
  return leave;
}

// src/story.js
var SAID = 4e3;
var StoryView = class {
  /** @param {import("./wire.js").Opening} opening @param {boolean} calm Whether nothing plays by itself. */
  constructor(opening, calm) {
    this.question = opening.question;
    this.before = opening.until == null ? "" : calm ? "Press Play: it stops for a question." : "It plays by itself, and stops for a question.";
    this.shown = null;
    this.timer = void 0;
    this.when = h("span", { class: "rl-when" });
    this.sentence = h("span");
    this.line = h("div", { class: "rl-story", role: "status", "aria-live": "polite" }, this.when, this.sentence);
    this.errors = h("div", { role: "alert" });
    this.notice = h("div", { class: "rl-notice", role: "status" });
    this.remark = h("div", { class: "rl-remark", role: "status" });
    this.asking = this.question ? h("div", { class: "rl-question", role: "status" }) : null;
    const parts = [this.errors, this.notice, this.line, this.asking, this.remark];
    this.root = h("div", { class: "rl-told" }, parts);
  }
  /** @param {import("./wire.js").SceneEvent} event @param {boolean} isPlaying Then it is not read aloud. */
  tell(event, isPlaying) {
    if (this.shown === event) return;
    this.shown = event;
    this.line.setAttribute("aria-live", isPlaying ? "off" : "polite");
    this.when.textContent = seconds(event.time);
    const [text, paper] = splitSection(event.text);
    this.sentence.replaceChildren(text, h("span", { class: "rl-paper" }, paper));
  }
  /** @param {boolean} isTime Whether the question is asked now. */
  ask(isTime) {
    if (!this.asking) return;
    const words = isTime ? this.question : this.before;
    if (this.asking.textContent !== words) this.asking.textContent = words;
    this.asking.classList.toggle("rl-asked", isTime);
  }
  /** @param {string} words How it stands with the other side; empty: well. */
  note(words) {
    this.notice.textContent = words;
  }
  /** @param {string} words For a while: why nothing happened. */
  say(words) {
    clearTimeout(this.timer);
    this.remark.textContent = words;
    this.timer = setTimeout(() => this.remark.replaceChildren(), SAID);
  }
  /** @param {string} text An error where everybody sees it, until it is dismissed. */
  fail(text) {
    const dismiss = () => this.errors.replaceChildren();
    const button = h("button", { class: "rl-button", type: "button", onclick: dismiss }, "Dismiss");
    const space = h("span", { class: "rl-space" });
    this.errors.replaceChildren(h("div", { class: "rl-error" }, h("span", {}, text), space, button));
  }
  close() {
    clearTimeout(this.timer);
  }
};

// src/ticks.js
var SHAPES = (
  /** @type {Record<string, ["path" | "rect" | "circle", Record<string, unknown>]>} */
  {
    election: ["path", { class: "rl-solid", d: "M0 -5 5 0 0 5 -5 0z" }],
    crash: ["path", { d: "M-4 -4 4 4M4 -4 -4 4" }],
    restart: ["path", { d: "M-4 3 0 -4 4 3z" }],
    silent: ["path", { d: "M-4 -4 4 4M4 -4 -4 4" }],
    heard: ["path", { d: "M-4 3 0 -4 4 3z" }],
    pause: ["path", { d: "M-2.5 -4V4M2.5 -4V4" }],
    resume: ["path", { d: "M-3 -4 4 0 -3 4z" }],
    write: ["path", { d: "M0 -5V5" }],
    membership: ["path", { d: "M-4 -4V1A4 4 0 0 0 4 1V-4" }],
    commit: ["path", { class: "rl-light", d: "M-3 0 -1 2.5 3 -2.5" }],
    snapshot: ["rect", { class: "rl-solid", x: -3.5, y: -3.5, width: 7, height: 7 }],
    timeout: ["circle", { r: 3.2 }],
    partition: ["path", { d: "M-5 -4V4M5 -4V4M-1 0H1" }],
    cut: ["path", { d: "M-5 0H-2M2 0H5" }],
    heal: ["path", { d: "M-5 0H5" }],
    violation: ["path", { class: "rl-solid", d: "M-2 -6H2L1 2H-1zM-1.5 4H1.5V7H-1.5z" }]
  }
);
var OTHER_SHAPE = (
  /** @type {["circle", Record<string, unknown>]} */
  ["circle", { r: 2 }]
);
var IMPORTANT = ["violation", "election", "crash", "silent", "membership", "snapshot", "partition", "timeout"];
var FAULTS = ["partition", "cut", "heal", "drop", "delay", "duplicate", "pause", "resume", "drift"];
var SOUGHT = (
  /** @type {Record<string, string[]>} */
  {
    marks: IMPORTANT,
    elections: ["election"],
    crashes: ["crash", "restart", "silent", "heard"],
    writes: ["write"],
    commits: ["commit"],
    memberships: ["membership"],
    snapshots: ["snapshot"],
    faults: FAULTS,
    violations: ["violation"]
  }
);
function rank(kind) {
  const place = IMPORTANT.indexOf(kind);
  return place < 0 ? IMPORTANT.length : place;
}
function layTicks(marks, at, width) {
  const taken = /* @__PURE__ */ new Set();
  const labels = [];
  const found = [];
  for (const mark of [...marks].sort((a, b) => rank(a[2]) - rank(b[2]))) {
    const x = at(mark[1]);
    const slot = Math.round(x / 8);
    if (taken.has(slot)) continue;
    taken.add(slot);
    const half = mark[4].length * 2.9;
    const middle = clamp(half, x, width - half);
    const fits = labels.every(([left, right]) => middle - half > right + 8 || middle + half < left - 8);
    if (fits) labels.push([middle - half, middle + half]);
    found.push({ mark, x, label: fits ? middle : null });
  }
  return found;
}
var seenTime = ({ times, seen }) => times[Math.min(seen, times.length - 1)];
function timeWindow(start, end, span, now) {
  const all = start + Math.max(end - start, 0.05) * 1.02;
  if (span == null || span >= all - start) return [start, all];
  const left = clamp(start, now - span / 2, all - span);
  return [left, left + span];
}
function nextMark(timeline, event, by, sought) {
  const kinds = SOUGHT[sought];
  const marks = timeline.marks.filter((mark) => mark[0] <= timeline.seen && kinds.includes(mark[2]));
  return by > 0 ? marks.find((mark) => mark[0] > event) : marks.findLast((mark) => mark[0] < event);
}

// src/timeline.js
var TimelineView = class {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    this.span = null;
    this.width = 0;
    this.key = "";
    this.drawnLeft = 0;
    this.svg = s("svg", { width: "100%", role: "slider", tabindex: 0, "aria-label": "Tape: the moment that is shown" });
    const kinds = Object.keys(SOUGHT).map((kind) => h("option", { value: kind }, kind));
    this.sought = h("select", { "aria-label": "What to jump to" }, kinds);
    this.playhead = h("div", { class: "rl-head" });
    const button = (label, onclick, words) => h("button", { class: "rl-button", type: "button", "aria-label": words, onclick }, label);
    this.heading = h(
      "div",
      { class: "rl-tape-head" },
      h("h3", {}, "Tape"),
      button("‹ previous", () => this.jump(-1)),
      this.sought,
      button("next ›", () => this.jump(1)),
      button("+", () => this.zoom(0.5), "Zoom in"),
      button("−", () => this.zoom(2), "Zoom out")
    );
    this.root = h("div", { class: "rl-tape" }, this.heading, h("div", { class: "rl-track" }, this.svg, this.playhead));
    this.listen();
  }
  listen() {
    this.svg.addEventListener("pointerdown", (event) => {
      this.svg.setPointerCapture(event.pointerId);
      this.scrub(event);
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (event.buttons) this.scrub(event);
    });
    const wheel = (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8);
    };
    this.svg.addEventListener("wheel", wheel, { passive: false });
  }
  /** @param {number} width */
  layout(width) {
    this.width = Math.max(280, width);
    this.key = "";
  }
  get window() {
    const { start, time } = this.lab.player;
    return timeWindow(start, this.seenEnd(), this.span, time);
  }
  seenEnd() {
    const ends = [...this.lab.store.timelines.values()].map((one) => seenTime(one) ?? 0);
    return Math.max(...ends, this.lab.player.time);
  }
  /** @param {number} by */
  zoom(by) {
    const [left, right] = this.window;
    this.span = (right - left) * by;
    if (this.span >= this.seenEnd() - this.lab.player.start) this.span = null;
    this.key = "";
    this.paint();
  }
  /** @param {number} time */
  x(time) {
    const [left, right] = this.window;
    return 2 + (time - left) / (right - left) * (this.width - 4);
  }
  /** @param {PointerEvent} event */
  scrub(event) {
    const box = this.svg.getBoundingClientRect();
    const [left, right] = this.window;
    const { player } = this.lab;
    const time = left + (event.clientX - box.left - 2) / (this.width - 4) * (right - left);
    player.seek(Math.min(time, seenTime(player.timeline) ?? time));
  }
  /** @param {number} by */
  jump(by) {
    const { player } = this.lab;
    const found = nextMark(player.timeline, player.event, by, this.sought.value);
    if (found) player.go(found[0]);
    else this.lab.say(`no ${by > 0 ? "later" : "earlier"} ${this.sought.value} on this tape`);
  }
  paint() {
    const { store, player } = this.lab;
    const { timeline } = player;
    const [left, right] = this.window;
    const key = [player.branch, timeline.version, timeline.seen, left, right, this.width, store.timelines.size].join();
    if (key !== this.key) {
      this.key = key;
      this.draw(timeline, left, right);
    }
    this.animate();
    set(this.svg, {
      "aria-valuemin": 0,
      "aria-valuemax": timeline.seen,
      "aria-valuenow": player.event,
      "aria-valuetext": `event ${this.lab.number(player.event)}, ${seconds(player.time)}`
    });
  }
  /** @param {Timeline} timeline @param {number} left @param {number} right */
  draw(timeline, left, right) {
    const bands = timeline.bands.filter((band) => band[0] <= timeline.seen);
    const end = Math.max(seenTime(timeline) ?? right, this.lab.player.time);
    const drawn = bands.map((band, place) => this.band(band, bands[place + 1]?.[1] ?? end));
    const ticks = this.ticks(
      timeline.marks.filter((mark) => mark[0] <= timeline.seen && mark[1] >= left && mark[1] <= right)
    );
    const tracks = this.lab.store.timelines.size > 1 ? this.tracks() : [];
    const height = 74 + (tracks.length ? 8 + 17 * tracks.length : 0);
    set(this.svg, { viewBox: `0 0 ${this.width} ${height}`, height });
    const words = `◂ ${timeline.gone} earlier events have left this tape`;
    const gone = timeline.gone && left <= this.lab.player.start ? [s("text", { class: "rl-gone", x: 2, y: 9 }, words)] : [];
    this.svg.replaceChildren(...drawn, ...ticks, ...tracks, ...gone);
  }
  /** @param {import("./wire.js").Band} band @param {number} end */
  band([, time, term, leader], end) {
    const { fill, ink } = this.lab.termColour(term);
    const x = Math.max(this.x(time), 2);
    const width = Math.max(0, Math.min(this.x(end), this.width - 2) - x);
    if (width <= 0.5) return s("g");
    const words = leader ? `term ${term}: ${name(leader)} leads` : "nobody leads";
    const isWide = width > 7 * words.length;
    const label = isWide ? words : width > 16 && leader ? term : "";
    return s(
      "g",
      { class: "rl-band" },
      s("title", {}, words),
      s("rect", { x, y: 12, width, height: 26, rx: 2, fill, opacity: 0.92 }),
      s("text", { x: x + (isWide ? 8 : 4), y: 29, style: `fill:${ink}` }, label)
    );
  }
  /** @param {import("./wire.js").Mark[]} marks */
  ticks(marks) {
    return layTicks(marks, (time) => this.x(time), this.width).map(({ mark, x, label }) => {
      const [event, , kind, , words] = mark;
      const [tag, shape] = SHAPES[kind] ?? OTHER_SHAPE;
      const title = s("title", {}, `${words}, event ${this.lab.number(event)}`);
      const text = label == null ? null : s("text", { x: label, y: 68 }, words);
      return s("g", { class: "rl-tick" }, title, s("g", { transform: `translate(${x} 49)` }, s(tag, shape)), text);
    });
  }
  tracks() {
    return [...this.lab.store.timelines.values()].map((one, row) => this.track(one, 82 + row * 17));
  }
  /** @param {Timeline} one @param {number} y A branch: a bar from where it began to what was seen of it. */
  track(one, y) {
    const here = one.name === this.lab.player.branch;
    const start = one.parent ? one.times[one.at] ?? 0 : 0;
    const x = clamp(2, this.x(start), this.width - 8);
    const width = Math.max(6, clamp(2, this.x(seenTime(one) ?? start), this.width - 2) - x);
    const label = one.why ? `${one.name}: ${one.why}` : one.name;
    const inside = x > 8 + label.length * 6;
    const open = () => this.lab.openBranch(one.name);
    const handlers = {
      onclick: open,
      onpointerdown: (event) => event.stopPropagation(),
      onkeydown: (event) => {
        if (event.key === "Enter") open();
      }
    };
    const style = `text-anchor:${inside ? "end" : "start"};${here ? "font-weight:700;fill:var(--rl-ink)" : ""}`;
    return s(
      "g",
      { class: "rl-branch", role: "button", tabindex: 0, "aria-label": `branch ${label}`, ...handlers },
      one.parent ? s("path", { class: "rl-branch-join", d: `M${x} 40V${y - 4}` }) : null,
      s("rect", { class: `rl-branch-bar ${here ? "rl-here" : ""}`, x, y: y - 3, width, height: 6, rx: 3 }),
      s("text", { class: "rl-branch-name", x: inside ? x - 6 : x + 4, y: inside ? y + 4 : y + 12, style }, label)
    );
  }
  animate() {
    if (this.span != null) {
      const [left, right] = this.window;
      if (this.drawnLeft !== left) {
        this.drawnLeft = left;
        this.key = "";
        this.draw(this.lab.player.timeline, left, right);
      }
    }
    this.playhead.style.transform = `translateX(${this.x(this.lab.player.time).toFixed(1)}px)`;
  }
};

// src/lab.js
var STAYS = 2e4;
var DRAWN = 200;
var Lab = class {
  /** @param {HTMLElement} root @param {import("./store.js").Link} link */
  constructor(root, link) {
    this.link = link;
    this.picked = /* @__PURE__ */ new Set();
    this.message = null;
    this.drawn = this.due = 0;
    this.isInTrouble = false;
    this.store = new Store(link);
    this.isPlain = this.store.header.opening.view === "ring";
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const listeners = { paint: () => this.paint(), animate: () => this.animate() };
    this.player = new Player(this.store, listeners, calm);
    this.orders = new Orders(this.player, link);
    this.popups = new Popups(this);
    this.scene = new SceneView(this);
    this.logs = new LogsView(this);
    this.inspector = new InspectorView(this);
    this.timeline = new TimelineView(this);
    this.controls = new Controls(this);
    const { branches, quiet, where } = this.controls;
    this.timeline.heading.append(branches, quiet, h("span", { class: "rl-space" }), where);
    this.layout = new Layout(this);
    this.story = new StoryView(this.store.header.opening, calm);
    this.stage = h(
      "div",
      { class: "rl-stage" },
      this.scene.root,
      this.logs.root,
      this.story.root,
      this.timeline.root,
      this.inspector.root
    );
    this.hints = hints(this.can("menu"));
    this.hints.classList.toggle("rl-hidden", this.isPlain);
    this.root = h(
      "section",
      {
        class: "raftlab",
        "data-view": this.isPlain ? "ring" : "full",
        role: "region",
        "aria-label": `Raft lab, ${this.store.header.title}`,
        tabindex: -1
      },
      this.controls.root,
      this.stage,
      this.hints
    );
    this.controls.fillBranches();
    this.watcher = new ResizeObserver(() => this.layout.fit());
    this.wake = () => {
      if (!document.hidden && this.isLive) link.send({ do: "hello" });
    };
    this.stays = setInterval(() => {
      if (!document.hidden && this.isLive) this.player.report();
    }, STAYS);
    this.begin(root);
  }
  /** @param {HTMLElement} root */
  begin(root) {
    keepKeys(this.root);
    this.root.addEventListener("keydown", (event) => this.guard(() => onKey(this, event)));
    this.root.addEventListener("pointerdown", (event) => {
      if (!this.popups.pop?.contains(
        /** @type {Node} */
        event.target
      )) this.popups.close();
    });
    this.link.listen((message) => this.guard(() => this.take(message)));
    root.append(this.root);
    this.watcher.observe(this.stage);
    this.unwatch = startWhenSeen(this.scene.root, this.player, () => this.guard(() => this.player.begin()));
    document.addEventListener("visibilitychange", this.wake);
    this.layout.fit();
    this.link.send({ do: "hello" });
  }
  close() {
    this.unwatch?.();
    this.player.stop();
    cancelAnimationFrame(this.player.frame);
    cancelAnimationFrame(this.due);
    this.watcher.disconnect();
    document.removeEventListener("visibilitychange", this.wake);
    clearInterval(this.stays);
    this.story.close();
    if (this.isLive) this.link.send({ do: "bye" });
    this.root.remove();
  }
  get isLive() {
    return Boolean(this.store.header.live);
  }
  // What comes from the other side
  /** @param {() => void} act Whatever goes wrong in the drawing is shown in it. */
  guard(act) {
    try {
      act();
    } catch (error) {
      this.fail(`the drawing failed: ${error instanceof Error ? error.message : error}`);
      console.error(error);
    }
  }
  /** @param {Update} message */
  take(message) {
    if (message.type === "chunk") this.store.takeChunk(message.branch, message.chunk);
    else if (message.type === "timeline") this.grow(message.timeline);
    else if (message.type === "header") this.rebuild(message.header);
    else if (message.type === "gate") this.takeGate(message);
    else if (message.type === "go") return this.arrive(message);
    else if (message.type === "error") return this.fail(message.text);
    this.player.resume();
    this.soon();
  }
  /** Paint before the next frame: once, however much arrives. */
  soon() {
    this.due ||= requestAnimationFrame(() => {
      this.due = 0;
      this.guard(() => this.paint());
    });
  }
  /** @param {import("./wire.js").Timeline} news */
  grow(news) {
    const { player, store } = this;
    const old = store.timelines.get(news.name);
    const stands = !player.playing && player.goal == null && player.event >= (old?.seen ?? 0);
    const earlier = news.gone - (old?.gone ?? 0);
    if (!store.grow(news)) return this.link.send({ do: "hello" });
    if (old && earlier > 0) player.event = Math.max(0, player.event - earlier);
    this.controls.fillBranches();
    if (player.event > player.last) player.go(player.last);
    else if (this.isLive && stands)
      player.follow(player.timeline.seen);
    else if (this.isLive) player.report();
  }
  /** @param {import("./store.js").Store["gate"]} gate */
  takeGate(gate) {
    this.store.gate = gate;
    this.controls.showGate(gate);
  }
  /** @param {import("./wire.js").Header} header */
  rebuild(header) {
    this.store.header = { ...this.store.header, ...header };
    if (header.gate) this.takeGate(header.gate);
    for (const timeline of header.timelines) this.store.takeTimeline(timeline);
    this.controls.fillBranches();
    if (header.live) this.player.go(this.player.last);
    if (header.over) this.retire();
  }
  /** A live cluster has ended: what can no longer be done is no longer offered. */
  retire() {
    this.controls.retire();
    this.popups.close();
    const left = hints(this.can("menu"));
    left.classList.toggle("rl-hidden", this.isPlain);
    this.hints.replaceWith(left);
    this.hints = left;
    this.tellOf(null);
    this.paint();
  }
  /** @param {string | null} trouble How it stands with the other side, while there is something to say of it. */
  tellOf(trouble) {
    this.isInTrouble = trouble != null;
    this.story.note(trouble ?? this.store.header.over ?? "");
  }
  /** @param {string} remark Why nothing happened. */
  say(remark) {
    this.story.say(remark);
  }
  /** @param {import("./wire.js").Go} went An order was carried out: show what it brought about, then give the next. */
  arrive({ event, branch }) {
    this.player.go(event, branch);
    this.controls.fillBranches();
    const active = document.activeElement;
    if (!active || active === document.body) this.root.focus({ preventScroll: true });
    this.orders.next();
  }
  /** @param {string} text */
  fail(text) {
    this.orders.clear();
    this.story.fail(text);
  }
  // Drawing
  paint() {
    const { scene } = this.player;
    if (scene) this.keepFocus(() => this.paintAll(scene));
    this.animate();
  }
  /** @param {Scene} scene */
  paintAll(scene) {
    this.scene.paint(scene);
    this.logs.paint(scene);
    if (!this.isTimely()) return;
    this.scene.paintHand(scene);
    this.timeline.paint();
    this.inspector.paint(scene);
    this.tell();
    this.controls.showPlace();
  }
  /** Whether to draw what nobody can read while it moves: some times a second are enough. */
  isTimely() {
    const now = performance.now();
    if (this.player.playing && now - this.drawn < DRAWN) return false;
    this.drawn = now;
    return true;
  }
  /** @param {() => void} draw Where that takes away what had the focus, its successor gets it, or else the Lab: no key is lost. */
  keepFocus(draw) {
    const active = this.root.contains(document.activeElement) ? document.activeElement : null;
    draw();
    if (!active || this.root.contains(active)) return;
    const id = Number(active.getAttribute("data-id"));
    (this.scene.ring.nodes.get(id) ?? this.root).focus({ preventScroll: true });
  }
  animate() {
    const { scene } = this.player;
    if (scene) this.keepFocus(() => this.scene.animate(scene));
    this.timeline.animate();
    this.controls.refresh();
  }
  /** @param {number} event Its number since the beginning, even where the oldest are no longer on the tape. */
  number(event) {
    return event + this.player.timeline.gone;
  }
  /** The story line: what just happened, in words. */
  tell() {
    const event = this.store.event(this.player.branch, this.player.event);
    if (event) this.story.tell(event, this.player.playing);
    this.story.ask(this.player.until == null && this.player.branch === "main");
  }
  /** @param {number} term */
  termColour(term) {
    return termColour(this.store.header.colours, term);
  }
  /** @param {string} branch */
  openBranch(branch) {
    const timeline = this.store.timelines.get(branch);
    if (timeline) this.player.go(Math.min(timeline.seen, timeline.count - 1), branch);
    this.controls.fillBranches();
  }
  // Choosing
  /** Whether the newest moment is shown: what is held is known of that alone. */
  get isNewest() {
    return this.player.event >= this.player.timeline.seen;
  }
  /** @param {number} id */
  isHeld(id) {
    return this.held.includes(id);
  }
  get held() {
    return this.isLive && this.isNewest ? this.store.gate.held : [];
  }
  /** @param {number} id @param {boolean} more Beside those that are chosen. */
  pickNode(id, more) {
    const had = this.picked.has(id);
    if (!more) this.picked.clear();
    if (had) this.picked.delete(id);
    else this.picked.add(id);
    this.message = null;
    this.paint();
  }
  /** @param {number} id @param {boolean} more */
  pickNumber(id, more) {
    if (!this.player.scene?.nodes[id]) return this.say(`there is no server n${id} to choose`);
    this.pickNode(id, more);
    this.scene.ring.nodes.get(id)?.focus({ preventScroll: true });
  }
  /** @param {number} id */
  pickMessage(id) {
    this.picked.clear();
    this.message = this.message === id ? null : id;
    this.paint();
  }
  /** The next message; one that is held, if there are any. */
  pickNext() {
    const known = [...this.player.scene?.flying.keys() ?? []];
    const held = known.filter((id) => this.isHeld(id));
    const flying = held.length ? held : known;
    if (!flying.length) return this.say("no message is under way at this moment: step to one, then press n");
    const at = this.message == null ? -1 : flying.indexOf(this.message);
    this.pickMessage(flying[(at + 1) % flying.length]);
  }
  /** Close what is open, or else choose nothing. */
  escape() {
    if (this.popups.pop) return this.popups.leave();
    this.picked.clear();
    this.message = null;
    this.paint();
  }
  // Acting
  /** @param {string} verb */
  can(verb) {
    const { can } = this.store.header;
    if (!this.link.live) return false;
    if (verb === "menu") return can.length > 0;
    return can.includes(verb) && (!this.isPlain || FIRST.has(verb));
  }
  /** @param {import("./controls.js").Switch} verb */
  toggle(verb) {
    const can = (one) => this.can(one);
    const found = verb === "hold" ? holdAction(this.store.gate, can) : freezeAction(this.store.gate, can);
    if (found?.order) this.act(found.order);
  }
  chosenActions() {
    const can = (verb) => this.can(verb);
    const { scene } = this.player;
    const picked = [...this.picked];
    if (!scene) return [];
    const flight = this.message == null ? void 0 : findFlight(scene, this.message);
    if (flight) {
      const isOpen = scene.flying.has(flight.id) && (!this.isLive || this.isHeld(flight.id));
      return isOpen ? messageActions(flight.id, { isLive: this.isLive, flight: this.store.header.flight }, can) : [];
    }
    if (picked.length === 1) return serverActions(picked[0], scene, can);
    return picked.length ? groupActions(picked, can) : [];
  }
  clusterActions() {
    return clusterActions(this.player.scene, this.store.gate, (verb) => this.can(verb));
  }
  /** @param {Order} order Orders are given one after the other, each where the one before has led. */
  act(order) {
    this.popups.close();
    this.player.stop();
    if (order.type === "partition" || order.type === "cut") this.picked.clear();
    this.orders.add(order);
  }
};

// src/main.js
var SLOW = 4e3;
var SILENT = "no answer from the kernel: it is busy, or it was restarted (then run the cell again); what is here can still be played";
var LOST = "the kernel of this Lab is gone: run the cell again for a new one; what is here can still be played";
var UNANSWERED = ["hello", "seen", "bye"];
function render({ model, el }) {
  let lab = null;
  let waits;
  let hear;
  const silent = (why) => {
    clearTimeout(waits);
    waits = void 0;
    if (why || lab?.isInTrouble) lab?.tellOf(why);
  };
  const link = {
    live: true,
    header: () => model.get("header"),
    chunks: () => model.get("chunks"),
    send: (message) => {
      try {
        model.send(message);
      } catch {
        return silent(LOST);
      }
      if (!UNANSWERED.includes(message.do)) waits ??= setTimeout(() => silent(SILENT), SLOW);
    },
    listen: (take) => {
      hear = (message) => {
        silent(null);
        take(message);
      };
      model.on("msg:custom", hear);
    }
  };
  const probe = () => link.send({ do: "hello" });
  model.on("comm_live_update", probe);
  const made = new Lab(el, link);
  lab = made;
  return () => {
    clearTimeout(waits);
    model.off("msg:custom", hear);
    model.off("comm_live_update", probe);
    made.close();
  };
}
async function play(root, packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.codePointAt(0) ?? 0);
  const text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const page = (
    /** @type {OfflinePage} */
    JSON.parse(await text)
  );
  const [header, chunks] = [() => page.header, () => page.chunks];
  return new Lab(root, { live: false, header, chunks, send: () => {
  }, listen: () => {
  } });
}
var main_default = { render };
export {
  main_default as default,
  play
};
