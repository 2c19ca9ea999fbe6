// A PixelCNN or PixelRNN that goes on pixel by pixel, and says what a pixel depended on.
import { MaskedConvolution, spread } from "./convolution.js";
import { LSTMLayer } from "./recurrent.js";
import { ResidualBlock } from "./residual.js";

/** The image grows on `x`, (row, column, channel), and each pixel computes what depends on it alone. Its maps may be wider
 * than the image, because some layers begin beyond the end of a row. */
export class PixelNetwork {
  constructor(arrays, { shape: [channels, height, width], views, memories, levels, above, beyond }) {
    const wide = width + beyond;
    Object.assign(this, { channels, height, width, wide, levels, above });
    const part = (name) => {
      const seen = views[name].map((view) => ({ ...view, width: name === "embed" ? width : wide }));
      return new MaskedConvolution(seen, arrays[`${name}.weight`], arrays[`${name}.bias`], height, wide);
    };
    this.embed = part("embed");
    this.layers = memories.map((steps, n) => {
      const own = (name) => part(`layers.${n}.${name}`);
      return steps.length ? new LSTMLayer(own, steps, height, wide) : new ResidualBlock(own, height, wide);
    });
    this.head = [0, 1, 2].map((n) => part(`head.${n}`));
    this.each = levels === 2 ? 1 : levels; // logits of a channel
  }
  /** The maps of one image, what was expected of its pixels, and −log p of their values, in nats. */
  state() {
    const all = [], made = (length) => { all.push(new Float32Array(length)); return all.at(-1); };
    const onImage = () => made(this.height * this.width * this.channels), map = (features) => made(this.height * this.wide * features);
    return {
      all, row: 0, x: onImage(), expected: onImage(), nats: onImage(),
      y: [this.embed, ...this.layers].map(({ outputs }) => map(outputs)),
      layers: this.layers.map((layer) => layer.maps(map)),
      head: this.head.map(({ outputs }) => map(outputs)),
    };
  }
  copy(from, to) {
    from.all.forEach((values, n) => to.all[n].set(values));
    to.row = from.row;
  }
  /** Computes a pixel's features, given those before it. */
  trunk({ x, y, layers }, row, column) {
    this.embed.at([x], row, column, y[0]);
    this.layers.forEach((layer, n) => {
      const before = y[n], after = y[n + 1], { outputs } = layer, start = (row * this.wide + column) * outputs;
      layer.step(layers[n], before, after, row, column);
      for (let i = start; i < start + outputs; i++) after[i] += before[i];
    });
  }
  /** Computes a pixel's logits, given those of `state.x` before it, and the pixel's earlier channels. To be called in order. */
  step(state, row, column) {
    if (state.row === row - 1) {
      for (let beyond = this.width; beyond < this.wide; beyond++) this.trunk(state, state.row, beyond);
      this.layers.forEach((layer, n) => layer.finish(state.layers[n], state.y[n], state.row));
    }
    state.row = row;
    this.trunk(state, row, column);
    let below = state.y.at(-1);
    this.head.forEach((layer, n) => {
      layer.at([below], row, column, state.head[n], true);
      below = state.head[n];
    });
  }
  /** A pixel's place among the logits. */
  logitsAt(place, channel) { return (((place / this.width) | 0) * this.wide + (place % this.width)) * this.channels * this.each + channel * this.each; }
  /** Probabilities of the values of a pixel's channel, from 0 to 1, behind `step`. */
  odds(state, place, channel, temperature = 1) {
    const logits = state.head[2], start = this.logitsAt(place, channel);
    if (this.levels === 2) {
      const p = 1 / (1 + Math.exp(-logits[start] / temperature));
      return [1 - p, p];
    }
    const odds = new Float64Array(this.each);
    let most = -Infinity, sum = 0;
    for (let n = 0; n < odds.length; n++) most = Math.max(most, logits[start + n]);
    for (let n = 0; n < odds.length; n++) sum += odds[n] = Math.exp((logits[start + n] - most) / temperature);
    for (let n = 0; n < odds.length; n++) odds[n] /= sum;
    return odds;
  }
  /** A value for a pixel's channel, drawn with uniform noise as torch's network draws it. */
  draw(state, place, channel, temperature, noise) {
    const odds = this.odds(state, place, channel, temperature);
    if (this.levels === 2) return noise < odds[1] ? 1 : 0;
    let sum = 0, below = 0;
    for (let level = 0; level < this.levels - 1; level++) { sum += odds[level]; if (sum <= noise) below++; }
    return below / (this.levels - 1);
  }
  /** Notes what was expected of a pixel's channel and what its value cost. */
  note(state, place, channel) {
    const odds = this.odds(state, place, channel), at = place * this.channels + channel, last = this.levels - 1;
    state.expected[at] = odds.reduce((sum, p, level) => sum + (p * level) / last, 0);
    if (this.levels === 2) { // exact where a probability is nearly 0
      const logit = state.head[2][this.logitsAt(place, channel)], cost = state.x[at] ? -logit : logit;
      state.nats[at] = cost > 0 ? cost + Math.log1p(Math.exp(-cost)) : Math.log1p(Math.exp(cost));
    } else state.nats[at] = -Math.log(Math.max(odds[Math.round(state.x[at] * last)], 1e-38));
  }
  /** d (expected value, or for two values their logit) / d pixel, channels summed, for every pixel; behind `step`. */
  influence(state, row, column) {
    const { height, width, wide, channels, each, head, layers } = this, place = row * width + column;
    const zeros = (like) => new Float32Array(like.length);
    let gradient = zeros(state.head[2]);
    for (let c = 0; c < channels; c++) {
      const odds = this.odds(state, place, c), start = this.logitsAt(place, c);
      if (each === 1) gradient[start] = 1;
      else odds.forEach((p, level) => { gradient[start + level] = p * (level / (each - 1) - state.expected[place * channels + c]); });
    }
    for (let n = head.length - 1; n >= 0; n--) {
      const below = n ? state.head[n - 1] : state.y.at(-1), next = zeros(below);
      head[n].back(gradient, [below], row, column, [next], true);
      gradient = next;
    }
    const first = Math.max(0, row - this.above), walk = (visit, fromRight = true) => { // last rows first
      for (let r = row; r >= first; r--)
        for (let c = 0; c < wide; c++) visit(r, fromRight ? wide - 1 - c : c);
    };
    for (let n = layers.length - 1; n >= 0; n--) layers[n].back(state.layers[n], state.y[n], gradient, walk); // the skip goes on
    const onImage = zeros(state.x), result = new Float32Array(height * width);
    walk((r, c) => this.embed.back(gradient, [state.x], r, c, [onImage]));
    onImage.forEach((value, at) => { result[(at / channels) | 0] += value; });
    return result;
  }
  /** Which pixels before it can have a say at all: 1 for each, by following where the layers look. */
  field(row, column) {
    const { height, width, wide } = this;
    let set = new Uint8Array(height * wide);
    set[row * wide + column] = 1;
    for (const layer of [...this.layers].reverse()) set = layer.field(set);
    set = spread(set, this.embed.views[0].taps, height, wide);
    set[row * wide + column] = 0;
    return Uint8Array.from({ length: height * width }, (_, p) => set[((p / width) | 0) * wide + (p % width)]);
  }
  /** The largest deviation of logits from torch's, at every few pixels of the stored images. */
  check({ probe, truth }, every) {
    const state = this.state(), size = state.x.length, logits = state.head[2], each = truth.shape[2];
    let off = 0, at = 0;
    for (let n = 0; n < probe.shape[0]; n++) {
      state.x.set(probe.subarray(n * size, (n + 1) * size));
      for (let p = 0; p < this.height * this.width; p++) {
        this.step(state, (p / this.width) | 0, p % this.width);
        if (p % every) continue;
        for (let o = 0; o < each; o++, at++) off = Math.max(off, Math.abs(logits[this.logitsAt(p, 0) + o] - truth[at]));
      }
    }
    return off;
  }
}
