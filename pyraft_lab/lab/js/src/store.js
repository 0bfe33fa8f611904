// Everything that was received: timelines of all branches, chunks, and the scenes made of them.

import { keyScene, nextScene } from "./scenes.js";

/** @typedef {import("./wire.js").Chunk} Chunk */
/** @typedef {import("./wire.js").Timeline} Timeline */
/** @typedef {import("./wire.js").Asked} Asked */
/** @typedef {import("./wire.js").Update} Update */
/** @typedef {Chunk & { scenes: import("./scenes.js").Scene[] }} PlayedChunk */

/**
 * The other side: the kernel behind a widget, or the recording in an offline page.
 *
 * @typedef {object} Link
 * @property {boolean} live Whether anybody answers.
 * @property {() => import("./wire.js").Header} header
 * @property {() => [string, Chunk][]} chunks
 * @property {(message: Asked) => void} send
 * @property {(take: (message: Update) => void) => void} listen
 */

export const CHUNK = 64; // events in one
const AGAIN = 2000; // milliseconds after which a chunk that did not come is asked for again

export class Store {
  /** @param {Link} link */
  constructor(link) {
    this.link = link;
    this.header = link.header();
    /** @type {Map<string, Timeline>} */
    this.timelines = new Map();
    /** @type {Map<string, PlayedChunk>} */
    this.chunks = new Map();
    /** @type {Map<string, number>} */
    this.asked = new Map();
    /** @type {Record<string, import("./wire.js").BookEntry>} */
    this.book = {};
    /** @type {Record<string, import("./wire.js").RuleSource>} */
    this.rules = {};
    /** @type {Omit<import("./wire.js").GateNews, "type">} */
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
    const times = [...(old?.times.slice(0, news.from) ?? []), ...news.times];
    const bands = [...(old?.bands.filter((band) => band[0] < news.from) ?? []), ...news.bands];
    const marks = [...(old?.marks.filter((mark) => mark[0] < news.from) ?? []), ...news.marks];
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
    if (before === undefined || now - before > AGAIN) {
      this.asked.set(key, now);
      this.link.send({ do: "want", branch, chunk: number });
    }
    return null;
  }
}
