// The bar of controls above the stage, and the hints below it.

import { h, icon } from "./dom.js";
import { PANELS } from "./panels.js";
import { paceWords, speedWords } from "./words.js";

/** @typedef {"hold" | "freeze"} Switch */

export class Controls {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    const { header } = lab.store;
    /** @type {boolean | null} */
    this.shownPlaying = null;
    this.backward = this.button("back", "Back", () => lab.player.back());
    this.forward = this.button("step", "Step", () => lab.player.step(), "rl-main");
    this.play = h("button", { class: "rl-button rl-play", type: "button", onclick: () => lab.player.toggle() });
    this.time = h("span", { class: "rl-time" });
    this.count = h("span", { class: "rl-count-of" });
    this.quiet = h("span", { class: "rl-quiet", title: "nothing is under way" }, "8 × faster");
    this.branches = h("select", {
      "aria-label": "Branch of time",
      onchange: () => lab.openBranch(this.branches.value),
    });
    this.holding = this.toggle("Hold messages", "let messages wait half way until you decide about each (b)", "hold");
    this.freezing = this.toggle("Freeze timers", "let no timer fire (f)", "freeze");
    const menu = (/** @type {Event} */ event) => lab.popups.openMenu(event);
    this.doing = h("button", { class: "rl-button", type: "button", "aria-haspopup": "menu", onclick: menu }, "Actions");
    this.help = h(
      "button",
      { class: "rl-button", type: "button", "aria-label": "Keys", onclick: () => lab.popups.openKeys() },
      "?",
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
        this.help,
      ]),
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
      "aria-label": "Seconds that one message takes",
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
  showPanels(shown) {
    for (const { panel, button } of this.panels) button.setAttribute("aria-pressed", String(shown.includes(panel)));
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
}

/** @param {boolean} acts Whether anything can be done to the cluster. */
export function hints(acts) {
  /** @param {string[]} keys @param {string} words */
  const hint = (keys, words) =>
    h(
      "span",
      {},
      keys.map((key) => h("kbd", {}, key)),
      ` ${words}`,
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
    hint(["?"], "all keys"),
  );
}
