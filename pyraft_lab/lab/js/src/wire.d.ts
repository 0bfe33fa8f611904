// What the Lab's drawing and Python say to each other. Generated from lab/wire.py: change it there.

export type Update = HeaderNews | ChunkNews | TimelineNews | GateNews | Go | Failure;

export type Asked = Hello | Want | Ahead | Seen | Act | Bye;

export type LiveOrder = Crash | Restart | Pause | Resume | Drift | TimeOut | TakeSnapshot | Transfer | Drop | Duplicate | Delay | Cut | Partition | Heal | Write | Read | AddLearner | ChangeMembership | Hold | ReleaseAll | Release | Freeze | Thaw;

/** The drawing's user gave an order at this moment. */
export interface Act {
  do: "act";
  branch: string;
  event: number;
  time: number;
  order: LiveOrder;
}

/** Start a new server as a learner. */
export interface AddLearner {
  type: "learner";
  node: number;
}

/** The drawing will soon need this many events of the future. */
export interface Ahead {
  do: "ahead";
  branch: string;
  events: number;
}

/** A stretch of the tape: who leads from an event on (0: nobody), up to the next band. */
export type Band = [event: number, time: number, term: number, leader: number];

/** What one log entry says; its name in the book is `index.term.leader`. */
export type BookEntry = [label: string, kind: "noop" | "write" | "members", membership: Voters | null];

/** The drawing was closed. */
export interface Bye {
  do: "bye";
}

/** Change the membership: these are the voters. */
export interface ChangeMembership {
  type: "membership";
  nodes: number[];
}

/** Consecutive events of a recording: the scene before them whole, then only what each changed. */
export interface Chunk {
  number: number;
  key: Scene;
  events: SceneEvent[];
  book: Record<string, BookEntry>;
  rules: Record<string, RuleSource>;
}

/** A chunk of a branch's recording. */
export interface ChunkNews {
  type: "chunk";
  branch: string;
  chunk: Chunk;
}

/** A timer: when it was set, and when it fires (`None` if only the future knows). */
export type ClockDrawing = [began: number, ends: number | null];

/** The colours of terms; on the `dark` ones white text is legible. */
export interface Colours {
  palette: string[];
  none: string;
  dark: string[];
}

/** Crash a server: what is not on its disk is lost. */
export interface Crash {
  type: "crash";
  node: number;
}

/** Cut the link between two servers, both ways. */
export interface Cut {
  type: "cut";
  nodes: [number, number];
}

/** What one server is deciding, and how far it is; `index` is the entry that is to be committed. */
export interface Decision {
  what: "prevote" | "vote" | "commit" | "leads";
  by: number;
  term: number;
  title: string;
  line: string;
  plain: string;
  sets: Tally[];
  writes: boolean;
  index?: number;
}

/** Delay a message by `seconds`. */
export interface Delay {
  type: "delay";
  message: number;
  seconds: number;
}

/** Let a server's clock run `rate` times as fast. */
export interface Drift {
  type: "drift";
  node: number;
  rate: number;
}

/** Drop a message that is on its way. */
export interface Drop {
  type: "drop";
  message: number;
}

/** Duplicate a message: it arrives twice. */
export interface Duplicate {
  type: "duplicate";
  message: number;
}

/** Who voted for a leader, and the voter sets that counted. */
export interface ElectedBy {
  yes: number[];
  sets: number[][];
}

/** Something could not be done; the text says what and why. */
export interface Failure {
  type: "error";
  text: string;
}

/** Freeze the timers: none fires. */
export interface Freeze {
  type: "freeze";
}

/** Whether messages are held, and which; whether timers are frozen. */
export interface GateNews {
  type: "gate";
  closed: boolean;
  frozen: boolean;
  held: number[];
}

/** An order was carried out: show the moment after this event. */
export interface Go {
  type: "go";
  branch: string;
  event: number;
}

/** A message that is no longer under way and did not arrive. */
export type Gone = [id: number, why: string];

/** What is drawn once: title, colours, where to begin, and all timelines. */
export interface Header {
  title: string;
  seed: number | null;
  flight: number;
  grows: boolean;
  can: string[];
  colours: Colours;
  place: Place;
  timelines: Timeline[];
  opening: Opening;
  live: boolean;
  gate: GateNews | null;
  over: string | null;
}

/** Everything that is drawn once, again. */
export interface HeaderNews {
  type: "header";
  header: Header;
}

/** Heal the network: every link works again. */
export interface Heal {
  type: "heal";
}

/** A drawing begins, or has missed something: it needs the header. */
export interface Hello {
  do: "hello";
}

/** Hold every message that is sent from now on. */
export interface Hold {
  type: "hold";
}

/** A snapshot that arrives: bytes here, bytes in all, and its last entry. */
export type IncomingSnapshot = [offset: number, size: number, last: number];

/** A log: its entries are `start + 1` to `last`; a chunk's `book` says what is in each. */
export interface LogDrawing {
  start: number;
  last: number;
  runs: TermRun[];
}

/** An event that stands out on the timeline. */
export type Mark = [event: number, time: number, kind: string, node: number, words: string];

/** The membership a server goes by; entry `at` began it. */
export interface MembershipDrawing {
  sets: number[][];
  learners: number[];
  at: number;
}

/** One message that left; `sign` is + or − on an answer, `lost` says why it will never arrive. */
export interface MessageDrawing {
  id: number;
  src: number;
  dst: number;
  sent: number;
  due: number | null;
  kind: string;
  name: string;
  glyph: string;
  answer: boolean;
  sign: "+" | "−" | "";
  entries: number;
  says: [string, string][];
  cause: number;
  copy: number | null;
  to: number | null;
  lost: string | null;
}

/** All that an offline page plays: the header, and each branch's chunks by the branch's name. */
export interface OfflinePage {
  header: Header;
  chunks: [string, Chunk][];
}

/** How a Lab begins: its view, the event up to which it plays by itself, and the question that it then asks. */
export interface Opening {
  view: "ring" | "full";
  until: number | null;
  question: string;
}

/** Isolate these servers, together, from all others. */
export interface Partition {
  type: "partition";
  nodes: number[];
}

/** Pause a server: it neither receives nor acts. */
export interface Pause {
  type: "pause";
  node: number;
}

/** What a leader knows of one peer. */
export interface PeerProgress {
  peer: number;
  matched: number;
  next: number;
  pace: "probe" | "pipeline" | "snapshot" | "halted";
  inflight?: number;
  offset?: number;
  size?: number;
  upto?: number;
}

/** What is shown: a branch, and the moment after one of its events. */
export interface Place {
  branch: string;
  event: number;
  time: number;
}

/** A client reads a key: at one server, or at the leader. */
export interface Read {
  type: "read";
  key: string;
  node: number | null;
}

/** Deliver one held message. */
export interface Release {
  type: "release";
  message: number;
}

/** Release all held messages and stop holding. */
export interface ReleaseAll {
  type: "open";
}

/** Restart a crashed server. */
export interface Restart {
  type: "restart";
  node: number;
}

/** Resume a paused server. */
export interface Resume {
  type: "resume";
  node: number;
}

/** A rule, and the lines of the function that decides by it; `first` is the number of the first line. */
export interface RuleSource {
  label: string;
  section: string;
  meaning: string;
  where: string;
  first: number;
  lines: string[];
}

/** Everything at one moment; `cuts` are links that let nothing through, one way each. */
export interface Scene {
  time: number;
  nodes: Record<string, ServerDrawing>;
  flying: MessageDrawing[];
  cuts: [number, number][];
  decisions: Decision[];
}

/** One event and what it changed; `ran` are the lines of its rule that ran, `nodes` the new values of fields. */
export interface SceneEvent {
  id: number;
  time: number;
  kind: string;
  node: number;
  peer: number | null;
  cause: number | null;
  message: number | null;
  text: string;
  routine: boolean;
  sent: MessageDrawing[];
  gone: Gone[];
  rule?: string;
  ran?: number[];
  nodes?: Record<string, Partial<ServerDrawing>>;
  cuts?: [number, number][];
  decisions?: Decision[];
}

/** The drawing shows this moment. */
export interface Seen {
  do: "seen";
  branch: string;
  event: number;
  time: number;
}

/** One server: Figure 2 in words and numbers, and what only some roles have (else `None`). */
export interface ServerDrawing {
  up: boolean;
  silent: boolean;
  paused: boolean;
  rate: number;
  term: number;
  vote: number;
  log: LogDrawing;
  snapshot: SnapshotDrawing | null;
  stored: number;
  role: "follower" | "precandidate" | "candidate" | "leader" | "learner" | "down";
  leader: number | null;
  commit: number;
  applied: number;
  incoming: IncomingSnapshot | null;
  building: boolean;
  halted: string | null;
  clock: ClockDrawing | null;
  longest: number;
  chunk: number;
  members: MembershipDrawing;
  digest: string;
  holds: string;
  granted: number[] | null;
  refused: number[] | null;
  peers: PeerProgress[] | null;
  round: number | null;
  lease: boolean | null;
  handover: number | null;
}

/** A snapshot on disk: its last entry, and its size in bytes. */
export type SnapshotDrawing = [index: number, term: number, size: number];

/** Let a server build a snapshot and delete the entries that it covers. */
export interface TakeSnapshot {
  type: "snapshot";
  node: number;
}

/** One voter set: who is in it, who agrees, who refuses, how many are needed. */
export interface Tally {
  name: string;
  of: number[];
  yes: number[];
  no: number[];
  need: number;
}

/** Entries of one leader that follow each other, from `index` on. */
export type TermRun = [index: number, term: number, leader: number];

/** Resume the timers. */
export interface Thaw {
  type: "thaw";
}

/** Fire a server's election timer; a server without one starts an election. */
export interface TimeOut {
  type: "timeout";
  node: number;
}

/** One branch of time, from event `from` on. */
export interface Timeline {
  name: string;
  parent: string | null;
  at: number;
  why: string;
  version: number;
  kept: number;
  seen: number;
  limit: number;
  from: number;
  times: number[];
  end: number;
  count: number;
  bands: Band[];
  marks: Mark[];
  terms: Record<string, ElectedBy>;
  gone: number;
}

/** What is new of a branch: replace its timeline from event `from` on. */
export interface TimelineNews {
  type: "timeline";
  timeline: Timeline;
}

/** Ask the leader to transfer leadership to a server. */
export interface Transfer {
  type: "transfer";
  node: number;
}

/** A membership: one voter set, or two while it is joint, and the learners. */
export interface Voters {
  sets: number[][];
  learners: number[];
}

/** The drawing needs a chunk. */
export interface Want {
  do: "want";
  branch: string;
  chunk: number;
}

/** A client writes a key: at one server, or at the leader. */
export interface Write {
  type: "write";
  key: string;
  value: number | string;
  node: number | null;
}
