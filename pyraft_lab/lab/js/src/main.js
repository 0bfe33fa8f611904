// The Lab's drawing. Python computes what happened and sends it as chunks of plain JSON (see wire.d.ts); here it is only
// drawn, played and asked for.
//
//   link ──▶ Store (timelines, chunks, scenes) ──▶ Player (where we are) ──▶ views: scene, logs, story, tape, inspector
//
// A link is either the kernel behind a widget or the recording in an offline page: `render` and `play` below.

import { Lab } from "./lab.js";

/** @typedef {import("./wire.js").Update} Update */
/** @typedef {import("./wire.js").OfflinePage} OfflinePage */

/**
 * As much of anywidget's model as is needed here.
 *
 * @typedef {object} Model
 * @property {(name: string) => any} get
 * @property {(message: unknown) => void} send
 * @property {(event: string, take: (message: any) => void) => void} on
 * @property {(event: string, take: ((message: any) => void) | undefined) => void} off
 */

const SLOW = 4000; // milliseconds without an answer after which that is said
const SILENT =
  "no answer from the kernel: it is busy, or it was restarted (then run the cell again); what is here can still be played";
const LOST = "the kernel of this Lab is gone: run the cell again for a new one; what is here can still be played";
const UNANSWERED = ["hello", "seen", "bye"]; // no answer to these is waited for

/** @param {{ model: Model, el: HTMLElement }} widget Its model carries the header and the first chunks; the rest are messages. */
function render({ model, el }) {
  /** @type {Lab | null} */
  let lab = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let waits;
  /** @type {((message: Update) => void) | undefined} */
  let hear;
  /** @param {string | null} why */
  const silent = (why) => {
    clearTimeout(waits);
    waits = undefined;
    if (why || lab?.isInTrouble) lab?.tellOf(why);
  };
  /** @type {import("./store.js").Link} */
  const link = {
    live: true,
    header: () => model.get("header"),
    chunks: () => model.get("chunks"),
    send: (message) => {
      // a click that does nothing would be a riddle: if no answer comes, say so
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
    },
  };
  const probe = () => link.send({ do: "hello" });
  model.on("comm_live_update", probe); // the kernel was restarted, or lost, or found again
  const made = new Lab(el, link);
  lab = made;
  return () => {
    clearTimeout(waits);
    model.off("msg:custom", hear);
    model.off("comm_live_update", probe);
    made.close();
  };
}

/**
 * An offline page: the whole recording is in the page, packed.
 *
 * @param {HTMLElement} root @param {string} packed
 */
async function play(root, packed) {
  const bytes = Uint8Array.from(atob(packed), (letter) => letter.codePointAt(0) ?? 0);
  const text = new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  const page = /** @type {OfflinePage} */ (JSON.parse(await text));
  const [header, chunks] = [() => page.header, () => page.chunks];
  return new Lab(root, { live: false, header, chunks, send: () => {}, listen: () => {} });
}

export default { render };
export { play };
