// Elements of the page, made in one line each.

const SVG = "http://www.w3.org/2000/svg";

/** @typedef {string | number | Node | null | undefined | false} Child */
/** @typedef {Record<string, unknown>} Attributes Handlers are named `onclick` and so on; null and false are left out. */

/**
 * @template {Element} T
 * @param {T} node @param {Attributes} attributes @param {(Child | Child[] | Child[][])[]} children
 */
function put(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value == null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), /** @type {EventListener} */ (value));
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  for (const child of children.flat(2)) {
    if (child == null || child === false) continue;
    node.append(child instanceof Node ? child : String(child));
  }
  return node;
}

/**
 * An element of HTML.
 *
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag @param {Attributes} [attributes] @param {...(Child | Child[] | Child[][])} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export const h = (tag, attributes, ...children) => put(document.createElement(tag), attributes ?? {}, children);

/**
 * An element of SVG.
 *
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} tag @param {Attributes} [attributes] @param {...(Child | Child[] | Child[][])} children
 * @returns {SVGElementTagNameMap[K]}
 */
export const s = (tag, attributes, ...children) =>
  put(/** @type {SVGElementTagNameMap[K]} */ (document.createElementNS(SVG, tag)), attributes ?? {}, children);

/**
 * Leave the keys that are pressed inside to the drawing: Jupyter asks the focused element itself before it takes a key
 * for one of its shortcuts.
 *
 * @param {Element} root
 */
export function keepKeys(root) {
  root.addEventListener("focusin", ({ target }) => {
    if (target instanceof Element) target.setAttribute("data-lm-suppress-shortcuts", "true");
  });
}

/** @param {Element} node @param {Record<string, unknown>} attributes */
export function set(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, String(value));
}

/**
 * A part of a drawing that is known to be there.
 *
 * @param {Element} root @param {string} selector
 * @returns {SVGElement}
 */
export function part(root, selector) {
  return /** @type {SVGElement} */ (root.querySelector(selector));
}

const ICONS = {
  reset: "M3 3v4h4M3.3 7A5 5 0 1 1 3 9.5",
  back: "M10 2 3 7l7 5z",
  step: "M4 2l7 5-7 5z",
  play: "M3 1.5 12 7l-9 5.5z",
  pause: "M3 2h3v10H3zM8 2h3v10H8z",
};

/** @typedef {keyof typeof ICONS} Icon */

/** @param {Icon} which */
export function icon(which) {
  const stroked = which === "reset";
  return s(
    "svg",
    { viewBox: "0 0 14 14", "aria-hidden": "true" },
    s("path", {
      d: ICONS[which],
      fill: stroked ? "none" : "currentColor",
      stroke: stroked ? "currentColor" : "none",
      "stroke-width": 1.6,
    }),
  );
}
