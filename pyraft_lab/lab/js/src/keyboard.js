// The keys of the Lab.

/** @param {import("./lab.js").Lab} lab @returns {Record<string, () => void>} */
export function keyTable(lab) {
  const { player } = lab;
  /** @param {...string} verbs */
  const chosen =
    (...verbs) =>
    () => {
      const found = lab.chosenActions().find((one) => verbs.includes(one.verb));
      if (found) lab.popups.perform(found);
    };
  /** @param {string} key */
  const cluster = (key) => () => {
    const found = lab.clusterActions().find((one) => one.key === key);
    if (found) lab.popups.perform(found);
  };
  const menu = () => {
    if (lab.can("menu")) lab.popups.openMenu();
  };
  return {
    ArrowRight: () => player.step(),
    ArrowLeft: () => player.back(),
    " ": () => player.toggle(),
    Home: () => player.go(0),
    End: () => player.go(player.timeline.seen),
    "[": () => lab.timeline.jump(-1),
    "]": () => lab.timeline.jump(1),
    n: () => lab.pickNext(),
    ".": menu,
    ContextMenu: menu,
    "?": () => lab.popups.openKeys(),
    c: chosen("crash"),
    r: chosen("restart"),
    p: chosen("pause", "resume"),
    t: chosen("timeout"),
    l: chosen("transfer"),
    s: chosen("snapshot"),
    x: chosen("partition"),
    k: chosen("cut"),
    o: chosen("release"),
    d: chosen("drop"),
    u: chosen("duplicate"),
    y: chosen("delay"),
    h: cluster("h"),
    w: cluster("w"),
    g: cluster("g"),
    a: cluster("a"),
    m: cluster("m"),
    b: cluster("b"),
    f: cluster("f"),
  };
}

/** @param {import("./lab.js").Lab} lab @param {KeyboardEvent} event */
export function onKey(lab, event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const target = /** @type {Element} */ (event.target);
  const pressed = event.key;
  const act = pressed === "Escape" ? () => lab.escape() : actOf(lab, target, event);
  if (!act) return;
  event.preventDefault();
  if (!(pressed === "Enter" && target.classList.contains("rl-node"))) event.stopPropagation();
  act();
}

/**
 * What a key does; nothing where somebody types, or where a button wants it for itself.
 *
 * @param {import("./lab.js").Lab} lab @param {Element} target @param {KeyboardEvent} event
 */
function actOf(lab, target, event) {
  if (lab.popups.pop?.contains(target) || target.matches("input, select, textarea")) return null;
  const isNode = target.classList.contains("rl-node");
  const isButton = target.matches("button") || target.getAttribute("role") === "button";
  if (isButton && !isNode && (event.key === " " || event.key === "Enter")) return null;
  if (isNode && event.key === "Enter") {
    return () => void target.dispatchEvent(new MouseEvent("click", { shiftKey: event.shiftKey }));
  }
  const digit = /^Digit([1-9])$/.exec(event.code ?? "");
  return keyTable(lab)[event.key] ?? (digit ? () => lab.pickNumber(Number(digit[1]), event.shiftKey) : null);
}
