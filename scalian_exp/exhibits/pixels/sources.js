// Where completions come from: a network that runs here, or what was computed when the page was made. Both have copies of
// one image, {x, expected, nats}, each (row, column, channel), and `shown(p)`: whether a pixel is there yet.
import { generator } from "../frame/arrays.js";
import { MultiScale } from "./multiscale.js";
import { PixelNetwork } from "./network.js";

/** Completions by a network in the page; a turn is a visit of a pixel. */
export class Live {
  constructor(arrays, { copies, network }, { every }) {
    this.network = network.stride ? new MultiScale(arrays, network) : new PixelNetwork(arrays, network);
    const { order, width, channels } = this.network;
    Object.assign(this, { arrays, every, channels, width, turns: order.length, at: 0, seed: 1, temperature: 1 });
    this.copies = Array.from({ length: copies }, () => this.network.state());
  }
  shown(p) { return this.network.rank[p] < this.at; }
  earlier(i, p) { return this.network.rank[i] < this.network.rank[p]; }
  /** Starts anew from an image (row, column, channel) of which some pixels are known, with new noise or that given. */
  begin({ image, known, noise }) {
    const random = generator(this.seed++);
    let drawn = 0;
    this.next = noise ? () => noise[drawn++] : random.next;
    this.known = known;
    for (const { x } of this.copies) for (let i = 0; i < x.length; i++) x[i] = known[(i / this.channels) | 0] ? image[i] : 0;
    this.at = 0;
    this.alike = true; // all copies, until the first pixel is drawn
  }
  /** On to the next pixels in all copies, until a time at most; those that aren't drawn don't count as turns. */
  advance(turns, until = Infinity) {
    const { network, channels, known, temperature } = this, meet = () => {
      if (this.alike) this.copies.slice(1).forEach((state) => network.copy(this.copies[0], state));
    };
    while (this.at < this.turns && turns > 0 && performance.now() < until) {
      const visit = this.at, p = network.order[visit], first = network.rank[p] === visit, drawn = first && !known[p];
      if (drawn) { meet(); this.alike = false; }
      for (const state of this.alike ? this.copies.slice(0, 1) : this.copies) {
        for (let c = 0; c < channels; c++) {
          if (c === 0 || drawn) network.step(state, visit);
          if (drawn) state.x[p * channels + c] = network.draw(state, p, c, temperature, this.next());
          if (first) network.note(state, p, c);
        }
      }
      if (drawn) turns--;
      this.at++;
    }
    meet();
  }
  get newest() { return this.network.order[Math.min(Math.max(this.at - 1, 0), this.turns - 1)]; }
  /** What a pixel of a copy depended on. */
  dependence(copy, row, column) {
    const field = this.network.field(row, column);
    return { row, column, field, influence: this.shown(row * this.width + column) ? this.network.influence(this.copies[copy], row, column) : null };
  }
  odds(copy, p, channel) { return this.network.odds(this.copies[copy], p, channel); }
  check() { return this.network.check(this.arrays, this.every); }
}

/** Completions that were drawn when the page was made; a turn is a row. */
export class Made {
  constructor(arrays, facts, { rows, columns, masks }) {
    const [channels, height, width] = facts.shape;
    Object.assign(this, { arrays, rows, columns, masks, channels, width, size: height * width, at: 0, image: 0 });
    this.turns = 1 + Math.max(...arrays.turns);
    this.count = facts.copies;
    this.begin({ number: 0, mask: "bottom", known: new Uint8Array(this.size) });
  }
  shown(p) { return this.known[p] || this.arrays.turns[p] < this.at; }
  earlier(i, p) { const { turns } = this.arrays; return turns[i] < turns[p] || (turns[i] === turns[p] && i < p); }
  begin({ number, mask, known }) {
    Object.assign(this, { image: number, known, at: 0 });
    const { values, expected, nats } = this.arrays, length = this.size * this.channels;
    const start = (number * this.masks.length + this.masks.indexOf(mask)) * this.count;
    this.copies = Array.from({ length: this.count }, (_, n) => {
      const [from, to] = [(start + n) * length, (start + n + 1) * length], share = (bytes) => Float32Array.from(bytes.subarray(from, to), (v) => v / 255);
      return { x: share(values), expected: share(expected), nats: nats.subarray(from, to) };
    });
  }
  advance(turns) { this.at = Math.min(this.at + turns, this.turns); }
  get newest() { return Math.max(this.arrays.turns.lastIndexOf(this.at - 1), 0); }
  /** What the nearest pixel of a grid depended on, in the image before anything was erased. */
  dependence(copy, row, column) {
    const nearest = (places, to) => places.reduce((best, at, n) => (Math.abs(at - to) < Math.abs(places[best] - to) ? n : best), 0);
    const r = nearest(this.rows, row), c = nearest(this.columns, column), at = r * this.columns.length + c, { size } = this;
    const from = (this.image * this.rows.length * this.columns.length + at) * size, signed = this.arrays.gradient.subarray(from, from + size);
    const influence = Float32Array.from(signed, (v) => Math.sign(v) * (v / 127) ** 2);
    return { row: this.rows[r], column: this.columns[c], field: this.arrays.field.subarray(at * size, (at + 1) * size), influence };
  }
  odds() { return null; }
}
