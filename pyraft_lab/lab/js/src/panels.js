// Which of the panels beside and below the ring are open. The newest is last in a list: where only one fits, it stays.

/** @typedef {"logs" | "inspector" | "tape"} Panel */

export const PANELS = /** @type {[Panel, string, string][]} */ ([
  ["logs", "Logs", "what each server has stored"],
  ["inspector", "Inspector", "the chosen server or message, or the rule that decided"],
  ["tape", "Tape", "the whole run: drag it, jump to marks, compare branches"],
]);
const NARROW = 640; // pixels below which nothing stands beside the ring
const WIDE = 1040; // pixels from which both logs and inspector do

/**
 * What is open before anybody chose: nothing in the plain view, nor where there is no room.
 *
 * @param {"ring" | "full"} view @param {number} width
 * @returns {Panel[]}
 */
export function openAtFirst(view, width) {
  if (view === "ring" || width < NARROW) return [];
  return width < WIDE ? ["logs", "tape"] : ["inspector", "logs", "tape"];
}

/**
 * What is open after one was opened or folded.
 *
 * @param {Panel[]} open @param {Panel} panel
 * @returns {Panel[]}
 */
export const toggled = (open, panel) => (open.includes(panel) ? open.filter((one) => one !== panel) : [...open, panel]);

/**
 * What of it is shown: logs and inspector side by side only where there is room for both.
 *
 * @param {Panel[]} open @param {number} width
 * @returns {Panel[]}
 */
export function shownPanels(open, width) {
  const side = open.filter((one) => one !== "tape");
  const hidden = width < WIDE && side.length > 1 ? side[0] : null;
  return open.filter((one) => one !== hidden);
}
