// How the room is divided: which panels are shown beside and below the ring, and how large each view is.

import { openAtFirst, shownPanels, toggled } from "./panels.js";

export class Layout {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    /** @type {import("./panels.js").Panel[] | null} The panels that the user chose; null: none chosen yet. */
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
    this.chosen = hasNoRoom ? toggled(once, panel) : once; // it was open without being seen: now it is the newest
    this.fit();
  }
}
