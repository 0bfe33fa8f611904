// Orders are given one after the other, each at the moment where the one before has led.

/** @typedef {import("./wire.js").LiveOrder} Order */

const GIVEN_UP = 5000; // milliseconds after which an order without an answer is given up

export class Orders {
  /** @param {import("./player.js").Player} player @param {import("./store.js").Link} link */
  constructor(player, link) {
    this.player = player;
    this.link = link;
    /** @type {Order[]} */
    this.waiting = [];
    this.given = 0;
  }

  /** @param {Order} order */
  add(order) {
    this.waiting.push(order);
    if (this.waiting.length === 1 || performance.now() - this.given > GIVEN_UP) this.give();
  }

  /** The first was carried out: give the next. */
  next() {
    this.waiting.shift();
    this.give();
  }

  give() {
    const { branch, event, time } = this.player;
    this.given = performance.now();
    if (this.waiting.length) this.link.send({ do: "act", branch, event, time, order: this.waiting[0] });
  }

  /** Something went wrong: what still waits was meant for another moment. */
  clear() {
    this.waiting.length = 0;
  }
}
