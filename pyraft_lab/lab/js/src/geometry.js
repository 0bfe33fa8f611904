// Where things are on the ring: servers, lanes of messages, bars across links, islands. Numbers only.

/** @typedef {{ x: number, y: number }} Point */
/** @typedef {Point & { angle: number }} Place */

/** How far a message's path bends to its right, so that both directions of a link stay apart. */
export const LANE = 13;

/**
 * Places on a ring that fits into a box, the first at the top.
 *
 * @param {number[]} ids @param {number} width @param {number} height @param {number} radius Of a server.
 * @returns {Map<number, Place>}
 */
export function ringPlaces(ids, width, height, radius) {
  const wide = width / 2 - radius - 24;
  const high = height / 2 - radius - 33;
  const across = Math.min(wide, high * 1.16);
  const down = Math.min(high, wide * 1.16);
  const odd = ids.length % 2 ? (down * (1 - Math.cos(Math.PI / ids.length))) / 2 : 0;
  return new Map(
    ids.map((id, place) => {
      const angle = -Math.PI / 2 + (2 * Math.PI * place) / ids.length;
      const x = width / 2 + across * Math.cos(angle);
      return [id, { x, y: height / 2 + down * Math.sin(angle) + odd, angle }];
    }),
  );
}

/**
 * A point on the way from one server to another: the lane bends to the right, and ends at the borders.
 *
 * @param {Point} from @param {Point} to @param {number} part From 0 to 1. @param {number} radius Of a server.
 * @returns {Point}
 */
export function lane(from, to, part, radius) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const edge = (radius + 10) / length;
  const along = edge + (1 - 2 * edge) * part;
  const bend = 4 * LANE * part * (1 - part) + 4;
  return { x: from.x + dx * along - (dy / length) * bend, y: from.y + dy * along + (dx / length) * bend };
}

/** @param {Point} from @param {Point} to @param {number} part @returns {Point} */
export const between = (from, to, part) => ({
  x: from.x + (to.x - from.x) * part,
  y: from.y + (to.y - from.y) * part,
});

/**
 * A straight path between two parts of a way.
 *
 * @param {Point} from @param {Point} to @param {number} start @param {number} end
 */
export function straight(from, to, start, end) {
  const [a, b] = [between(from, to, start), between(from, to, end)];
  return `M${a.x} ${a.y}L${b.x} ${b.y}`;
}

/**
 * A short bar across a link, `aside` to its right.
 *
 * @param {Point} from @param {Point} to @param {number} part @param {number} aside
 */
export function barPath(from, to, part, aside) {
  const dx = to.x - from.x;
  const dy = to.y - from.y;
  const length = Math.hypot(dx, dy) || 1;
  const [right, down] = [-dy / length, dx / length];
  const at = between(from, to, part);
  const [x, y] = [at.x + right * aside, at.y + down * aside];
  return `M${x + right * 8} ${y + down * 8}L${x - right * 8} ${y - down * 8}`;
}

/** @param {number} r @param {number} part Of a whole turn, clockwise from the top. */
export function arcPath(r, part) {
  if (part <= 0.001) return "";
  if (part >= 0.999) return `M0 ${-r}A${r} ${r} 0 1 1 -0.01 ${-r}`;
  const angle = 2 * Math.PI * part;
  return `M0 ${-r}A${r} ${r} 0 ${part > 0.5 ? 1 : 0} 1 ${r * Math.sin(angle)} ${-r * Math.cos(angle)}`;
}

/**
 * Groups of servers that can hear each other in at least one direction.
 *
 * @param {number[]} ids @param {Set<string>} cut Links that let nothing through, such as "1>2".
 */
export function islands(ids, cut) {
  const left = new Set(ids);
  /** @type {number[][]} */
  const found = [];
  for (const first of ids) {
    if (!left.delete(first)) continue;
    const group = [first];
    for (const a of group) {
      for (const b of [...left]) {
        if (cut.has(`${a}>${b}`) && cut.has(`${b}>${a}`)) continue;
        group.push(b);
        left.delete(b);
      }
    }
    found.push(group);
  }
  return found;
}

/**
 * How far a message has come, from 0 to 1; one whose end is not known never quite arrives.
 *
 * @param {import("./wire.js").MessageDrawing} message @param {number} now @param {number} flight
 */
export function progress(message, now, flight) {
  const due = message.due ?? message.sent + flight;
  const part = (now - message.sent) / Math.max(due - message.sent, 1e-9);
  return Math.max(0, Math.min(message.due == null ? 0.93 : 1, part));
}
