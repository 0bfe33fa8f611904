// What is told in words: the event that is shown, remarks, how it stands with the other side, and errors.

import { h } from "./dom.js";
import { seconds, splitSection } from "./tools.js";

const SAID = 4000; // milliseconds for which a remark stays

export class StoryView {
  /** @param {import("./wire.js").Opening} opening @param {boolean} calm Whether nothing plays by itself. */
  constructor(opening, calm) {
    this.question = opening.question;
    this.before =
      opening.until == null
        ? ""
        : calm
          ? "Press Play: it stops for a question."
          : "It plays by itself, and stops for a question.";
    /** @type {import("./wire.js").SceneEvent | null} */
    this.shown = null;
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
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
}
