// The chain of a Boltzmann machine, whose pixels and label may be held.
import { generator } from "../frame/arrays.js";
import { softplus } from "../frame/operations.js";

/** States of units drawn from their means, in `out`; groups say which units are of which kind. */
export function draw(groups, means, out, random) {
  let at = 0;
  for (const { kind, size } of groups) {
    if (kind === "softmax") {
      let left = random.next(), chosen = at;
      while (chosen < at + size - 1 && left >= means[chosen]) left -= means[chosen++];
      for (let i = at; i < at + size; i++) out[i] = i === chosen ? 1 : 0;
    } else if (kind === "gaussian") for (let i = at; i < at + size; i++) out[i] = means[i] + random.normal();
    else for (let i = at; i < at + size; i++) out[i] = random.next() < means[i] ? 1 : 0;
    at += size;
  }
  return out;
}

/** The chain: the top machine's states v and h, and the image below them, whose pixels may be held. */
export class Chain {
  constructor({ program }, { arrays }, { layers, pixels, units, labels }) {
    const top = layers.length - 1, { visible_bias: bias } = arrays;
    this.ups = layers.map((_, k) => program.part([2 * k], [4 * k, 4 * k + 1]));
    this.downs = layers.map((_, k) => program.part([2 * k + 1], [4 * k + 3]));
    Object.assign(this, { arrays, units, labels, top, bias, size: bias.length, below: bias.length - labels, random: generator(7) });
    this.v = new Float32Array(this.size);
    this.h = new Float32Array(layers[top]);
    this.means = new Float32Array(pixels); // of the image's units, and states drawn from them
    this.states = new Float32Array(pixels);
    this.held = new Float32Array(pixels).fill(NaN); // NaN is free, else the pixel's value
    this.label = -1; // free, else the class that is held
    this.clamped = false;
  }
  toUnit(pixel, i) { return (pixel - this.arrays.pixel_mean[i]) / this.arrays.pixel_scale[i]; }
  toPixel(unit, i) { return Math.min(Math.max(unit * this.arrays.pixel_scale[i] + this.arrays.pixel_mean[i], 0), 1); }
  /** Calls for each change of `held`. */
  holds() { this.clamped = this.held.some((value) => !Number.isNaN(value)); this.hold(); }
  hold() {
    const grey = this.units.lowest[0].kind === "gaussian", { held, means, states } = this;
    if (this.clamped) for (let i = 0; i < held.length; i++) {
      if (Number.isNaN(held[i])) continue;
      means[i] = this.toUnit(held[i], i);
      states[i] = grey ? means[i] : held[i] === 0 || held[i] === 1 ? held[i] : this.random.next() < held[i] ? 1 : 0;
    }
    if (this.label >= 0) for (let l = 0; l < this.labels; l++) this.v[this.below + l] = l === this.label ? 1 : 0;
  }
  /** The top machine's input of its hidden units, their means, and the free energy of v. */
  look() {
    [this.x, this.on] = this.ups[this.top](this.v);
    this.energy = this.freeEnergy(this.v, this.x);
  }
  freeEnergy(v, x) {
    let energy = 0, at = 0;
    for (const { kind, size } of this.units.visible)
      for (const end = at + size; at < end; at++) energy += (kind === "gaussian" ? 0.5 * v[at] * v[at] : 0) - v[at] * this.bias[at];
    const gaussian = this.units.hidden === "gaussian", log = Math.log(2 * Math.PI);
    for (const input of x) energy -= gaussian ? 0.5 * (input * input + log) : softplus(input);
    return energy;
  }
  /** From the image's states up to v, drawn layer by layer; a free label stays as it is. */
  rise() {
    let states = this.states;
    for (let k = 0; k < this.top; k++) {
      const [, means] = this.ups[k](states);
      states = draw([{ kind: "bernoulli", size: means.length }], means, new Float32Array(means.length), this.random);
    }
    this.v.set(states.subarray(0, this.below));
  }
  /** From v, whose means are given, down to the image; layers in between are drawn. */
  fall(means) {
    let below = means.subarray(0, this.below), states = this.v.subarray(0, this.below);
    for (let k = this.top - 1; k >= 0; k--) {
      [below] = this.downs[k](states);
      states = draw(k ? [{ kind: "bernoulli", size: below.length }] : this.units.lowest, below, new Float32Array(below.length), this.random);
    }
    this.means.set(below.subarray(0, this.means.length));
    this.states.set(states.subarray(0, this.means.length));
  }
  step() {
    draw([{ kind: this.units.hidden, size: this.h.length }], this.on, this.h, this.random);
    const [means] = this.downs[this.top](this.h);
    draw(this.units.visible, means, this.v, this.random);
    this.fall(means);
    this.hold();
    if (this.clamped) this.rise();
    this.look();
  }
  restart() {
    const means = Float32Array.from({ length: this.size }, (_, i) => (i >= this.below ? 1 / this.labels : this.units.visible[0].kind === "gaussian" ? 0 : 0.5));
    draw(this.units.visible, means, this.v, this.random);
    this.fall(this.v);
    this.hold();
    if (this.clamped) this.rise();
    this.look();
    draw([{ kind: this.units.hidden, size: this.h.length }], this.on, this.h, this.random);
  }
  /** Probability of each label given the other units of v. */
  labelled() {
    const { labels, below, v, x, arrays: { label_weight: weight } } = this, scores = new Float64Array(labels);
    for (let j = 0; j < x.length; j++) {
      let base = x[j];
      for (let l = 0; l < labels; l++) base -= v[below + l] * weight[j * labels + l];
      for (let l = 0; l < labels; l++) scores[l] += softplus(base + weight[j * labels + l]);
    }
    const all = scores.map((score, l) => score + this.bias[below + l]), most = Math.max(...all), powers = all.map((score) => Math.exp(score - most));
    const sum = powers.reduce((a, b) => a + b, 0);
    return powers.map((power) => power / sum);
  }
}
