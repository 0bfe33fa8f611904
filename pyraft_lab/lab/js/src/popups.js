// Menus, forms and the list of keys: one at a time, beside what opened it.

import { h, set } from "./dom.js";
import { governing, idsOf, isMember } from "./scenes.js";
import { clamp, name, typed } from "./tools.js";
import { usableKeys } from "./words.js";

/** @typedef {import("./actions.js").Action} Action */

export class Popups {
  /** @param {import("./lab.js").Lab} lab */
  constructor(lab) {
    this.lab = lab;
    /** @type {HTMLElement | null} */
    this.pop = null;
    /** @type {Element | null} What had the focus before. */
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
  perform(action) {
    if (action.order) return this.lab.act(action.order);
    if (action.form === "write") this.openWrite();
    else if (action.form === "read") this.openRead();
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
      content,
    );
    root.append(this.pop);
    const frame = root.getBoundingClientRect();
    const box = beside?.getBoundingClientRect();
    const [x, y] = at ? [at.x, at.y] : [box?.left ?? frame.left, box?.bottom ?? frame.top];
    const left = clamp(4, x - frame.left, Math.max(4, frame.width - this.pop.offsetWidth - 4));
    set(this.pop, { style: `left:${left}px;top:${y - frame.top + 4}px` });
    const first = /** @type {HTMLElement | null} */ (this.pop.querySelector("input,select,[role=menuitem]"));
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
    /** @type {HTMLElement} */ (back).focus({ preventScroll: true });
  }

  /** @param {Event} [event] */
  openMenu(event) {
    const { lab } = this;
    const chosen = lab.chosenActions();
    const who = lab.message != null ? "this message" : [...lab.picked].map(name).join(", ");
    const hint = "Click a server or a message, or press 1 … 9 or n";
    /** @param {Action} one */
    const item = (one) =>
      h(
        "button",
        { role: "menuitem", type: "button", tabindex: -1, onclick: () => this.perform(one) },
        one.label,
        one.key && h("kbd", {}, one.key),
      );
    const heading = h("h4", {}, chosen.length ? who : hint);
    const parts = [heading, ...chosen.map(item), h("h4", {}, "the cluster"), ...lab.clusterActions().map(item)];
    const at =
      event instanceof MouseEvent && event.type === "contextmenu" ? { x: event.clientX, y: event.clientY } : undefined;
    const pop = this.open(parts, lab.controls.doing, at, "Actions");
    pop.addEventListener("keydown", (pressed) => this.walk(pop, pressed));
  }

  /** @param {HTMLElement} pop @param {KeyboardEvent} event */
  walk(pop, event) {
    const items = /** @type {HTMLElement[]} */ ([...pop.querySelectorAll('[role="menuitem"]')]);
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
      const inputs = /** @type {NodeListOf<HTMLInputElement>} */ (form.querySelectorAll('input[type="text"]'));
      submit(Object.fromEntries([...inputs].map((input) => [input.name, input.value])));
    };
    const yes = h("button", { class: "rl-button rl-main", type: "button", onclick: done }, button);
    const no = h("button", { class: "rl-button", type: "button", onclick: () => this.leave() }, "Cancel");
    const form = h(
      "div",
      { class: "rl-form", role: "group", "aria-label": title },
      h("h4", {}, title),
      fields,
      h("div", { class: "rl-actions" }, yes, no),
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
      "Write",
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
    const boxes = known.map((id) =>
      h("label", {}, h("input", { type: "checkbox", name: "voter", value: id, checked: voters.has(id) }), name(id)),
    );
    const submit = () => {
      const checked = /** @type {NodeListOf<HTMLInputElement>} */ (this.pop?.querySelectorAll("input:checked"));
      this.lab.act({ type: "membership", nodes: [...checked].map((box) => Number(box.value)) });
    };
    this.form("Choose the voters", [h("div", { class: "rl-boxes" }, boxes)], submit, "Change");
  }

  openKeys() {
    const rows = usableKeys((verb) => this.lab.can(verb)).map(([keys, words]) => [
      h("dt", {}, h("kbd", {}, keys)),
      h("dd", {}, words),
    ]);
    const close = h("button", { class: "rl-button", type: "button", onclick: () => this.leave() }, "Close");
    const top = h("div", { class: "rl-pop-head" }, h("h4", {}, "Keys"), close);
    const pop = this.open([top, h("dl", {}, rows)], this.lab.controls.help);
    set(pop, { "aria-label": "Keys" });
  }
}
