// Values for tests, complete with defaults.

/** A follower that has heard of nobody. */
export const server = (changes = {}) => ({
  up: true,
  silent: false,
  paused: false,
  rate: 1,
  term: 1,
  vote: 0,
  log: { start: 0, last: 0, runs: [] },
  snapshot: null,
  stored: 0,
  role: "follower",
  leader: null,
  commit: 0,
  applied: 0,
  incoming: null,
  building: false,
  halted: null,
  clock: null,
  longest: 0.3,
  chunk: 1024,
  members: { sets: [[1, 2, 3]], learners: [], at: 1 },
  digest: "",
  holds: "",
  granted: null,
  refused: null,
  peers: null,
  round: null,
  lease: null,
  handover: null,
  ...changes,
});

export const message = (id, changes = {}) => ({
  id,
  src: 1,
  dst: 2,
  sent: 0,
  due: 0.01,
  kind: "VoteRequest",
  name: "vote request for term 1",
  glyph: "V",
  answer: false,
  sign: "",
  entries: 0,
  says: [],
  cause: 0,
  copy: null,
  to: null,
  lost: null,
  ...changes,
});

export const event = (id, changes = {}) => ({
  id,
  time: id / 100,
  kind: "timer",
  node: 1,
  peer: null,
  cause: null,
  message: null,
  text: "n1 does something",
  routine: false,
  sent: [],
  gone: [],
  ...changes,
});

export const key = (changes = {}) => ({
  time: 0,
  nodes: { 1: server(), 2: server(), 3: server() },
  flying: [],
  cuts: [],
  decisions: [],
  ...changes,
});

export const timeline = (count, changes = {}) => ({
  name: "main",
  parent: null,
  at: -1,
  why: "",
  version: 0,
  kept: 0,
  seen: count - 1,
  limit: count,
  from: 0,
  times: Array.from({ length: count }, (_, id) => id / 100),
  end: (count - 1) / 100,
  count,
  bands: [],
  marks: [],
  terms: {},
  gone: 0,
  ...changes,
});

export const header = (count, changes = {}) => ({
  title: "test",
  seed: 1,
  flight: 0.01,
  grows: false,
  can: [],
  colours: { palette: ["#111", "#222"], none: "#999", dark: ["#111"] },
  place: { branch: "main", event: 0, time: 0 },
  timelines: [timeline(count)],
  opening: { view: "full", until: null, question: "" },
  live: false,
  gate: null,
  over: null,
  ...changes,
});

/** Chunk `number` of a run of `count` events. */
export const chunk = (number, count) => ({
  number,
  key: key(),
  events: Array.from({ length: Math.min(64, count - 64 * number) }, (_, place) => event(64 * number + place)),
  book: {},
  rules: {},
});

/** The other side, which writes down what it is sent. */
export const link = (count, changes = {}, chunks = [["main", chunk(0, count)]]) => {
  const sent = [];
  return {
    sent,
    live: true,
    header: () => header(count, changes),
    chunks: () => chunks,
    send: (one) => sent.push(one),
    listen: () => {},
  };
};
