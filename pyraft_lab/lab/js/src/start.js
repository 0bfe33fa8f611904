// A Lab that plays by itself begins when it comes into sight, unless somebody takes over before.

const STARTS = 800; // milliseconds between its coming into sight and its beginning

/**
 * @param {HTMLElement} root @param {import("./player.js").Player} player @param {() => void} start
 * @returns {() => void} What ends the wait.
 */
export function startWhenSeen(root, player, start) {
  if (player.until == null) return () => {};
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let starts;
  const leave = () => {
    clearTimeout(starts);
    seer.disconnect();
  };
  const begin = () => {
    leave();
    start();
  };
  const look = (/** @type {IntersectionObserverEntry[]} */ [{ isIntersecting }]) => {
    clearTimeout(starts);
    if (isIntersecting) starts = setTimeout(begin, STARTS);
  };
  const seer = new IntersectionObserver(look, { threshold: 0.4 });
  seer.observe(root);
  for (const taken of ["pointerdown", "keydown"]) root.addEventListener(taken, leave, { once: true });
  return leave;
}
