// A PixelCNN that goes on pixel by pixel, and says what a pixel depended on.

/** A masked convolution: `taps` are the (row, column) steps to where it looks, weight (taps, out, in). Maps are stored
 * pixel by pixel, (row, column, feature). */
export class MaskedConvolution {
  constructor(taps, weight, bias, height, width) {
    Object.assign(this, { taps, weight, bias, height, width, outputs: weight.shape[1], inputs: weight.shape[2] });
  }
  /** The outputs at a pixel, of what lies on the map `x` now. With `rectified`, of max(0, x). */
  at(x, row, column, out, start, rectified) {
    const { taps, weight, bias, height, width, outputs, inputs } = this;
    for (let o = 0; o < outputs; o++) out[start + o] = bias[o];
    for (let t = 0; t < taps.length; t++) {
      const r = row + taps[t][0], c = column + taps[t][1];
      if (r < 0 || c < 0 || r >= height || c >= width) continue;
      const from = (r * width + c) * inputs;
      let w = t * outputs * inputs;
      for (let o = 0; o < outputs; o++) {
        let sum = 0;
        for (let i = 0; i < inputs; i++) {
          const value = x[from + i];
          sum += weight[w++] * (rectified && value < 0 ? 0 : value);
        }
        out[start + o] += sum;
      }
    }
  }
  /** Gradients of the outputs at a pixel → added to those of the map (…, behind the rectifier where there is one). */
  back(gradient, start, row, column, x, into, rectified) {
    const { taps, weight, height, width, outputs, inputs } = this;
    let none = true;
    for (let o = 0; o < outputs && none; o++) none = gradient[start + o] === 0;
    if (none) return;
    for (let t = 0; t < taps.length; t++) {
      const r = row + taps[t][0], c = column + taps[t][1];
      if (r < 0 || c < 0 || r >= height || c >= width) continue;
      const from = (r * width + c) * inputs;
      for (let i = 0; i < inputs; i++) {
        if (rectified && x[from + i] <= 0) continue;
        let sum = 0;
        for (let o = 0; o < outputs; o++) sum += gradient[start + o] * weight[(t * outputs + o) * inputs + i];
        into[from + i] += sum;
      }
    }
  }
}

/** A PixelCNN: the image grows on `x`, (row, column, channel), and each pixel computes what depends on it alone. */
export class PixelCNN {
  constructor(arrays, { shape: [channels, height, width], depth, taps, levels, above }) {
    Object.assign(this, { channels, height, width, depth, levels, above });
    const layer = (name) => new MaskedConvolution(taps[name], arrays[`${name}.weight`], arrays[`${name}.bias`], height, width);
    this.embed = layer("embed");
    this.blocks = Array.from({ length: depth }, (_, i) => ["down", "look", "up"].map((part) => layer(`layers.${i}.${part}`)));
    this.head = [0, 1, 2].map((i) => layer(`head.${i}`));
    this.each = levels === 2 ? 1 : levels; // logits of a channel
  }
  /** The maps of one image, what was expected of its pixels, and −log p of their values, in nats. */
  state() {
    const map = (features) => new Float32Array(this.height * this.width * features);
    return {
      x: map(this.channels), expected: map(this.channels), nats: map(this.channels),
      y: [map(this.embed.outputs), ...this.blocks.map(([, , up]) => map(up.outputs))],
      down: this.blocks.map(([down]) => map(down.outputs)),
      look: this.blocks.map(([, look]) => map(look.outputs)),
      head: this.head.map((layer) => map(layer.outputs)),
    };
  }
  /** Computes a pixel's logits, given those of `state.x` before it, and the pixel's earlier channels. */
  step(state, row, column) {
    const place = row * this.width + column;
    this.embed.at(state.x, row, column, state.y[0], place * this.embed.outputs, false);
    this.blocks.forEach(([down, look, up], n) => {
      const before = state.y[n], after = state.y[n + 1], start = place * up.outputs;
      down.at(before, row, column, state.down[n], place * down.outputs, true);
      look.at(state.down[n], row, column, state.look[n], place * look.outputs, true);
      up.at(state.look[n], row, column, after, start, true);
      for (let i = 0; i < up.outputs; i++) after[start + i] += before[start + i];
    });
    let below = state.y[this.depth];
    this.head.forEach((layer, n) => {
      layer.at(below, row, column, state.head[n], place * layer.outputs, true);
      below = state.head[n];
    });
  }
  /** Probabilities of the values of a pixel's channel, from 0 to 1, behind `step`. */
  odds(state, place, channel, temperature = 1) {
    const logits = state.head[2], start = (place * this.channels + channel) * this.each;
    if (this.levels === 2) {
      const p = 1 / (1 + Math.exp(-logits[start] / temperature));
      return [1 - p, p];
    }
    const scaled = Array.from(logits.subarray(start, start + this.each), (value) => value / temperature);
    const most = Math.max(...scaled), raised = scaled.map((value) => Math.exp(value - most)), sum = raised.reduce((a, b) => a + b);
    return raised.map((value) => value / sum);
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
      const logit = state.head[2][at], cost = state.x[at] ? -logit : logit;
      state.nats[at] = cost > 0 ? cost + Math.log1p(Math.exp(-cost)) : Math.log1p(Math.exp(cost));
    } else state.nats[at] = -Math.log(Math.max(odds[Math.round(state.x[at] * last)], 1e-38));
  }
  /** d (expected value, or for two values their logit) / d pixel, channels summed, for every pixel; behind `step`. */
  influence(state, row, column) {
    const { height, width, depth, channels, each } = this, place = row * width + column;
    const zeros = (like) => new Float32Array(like.length);
    let gradient = zeros(state.head[2]);
    for (let c = 0; c < channels; c++) {
      const odds = this.odds(state, place, c), start = (place * channels + c) * each;
      if (each === 1) gradient[start] = 1;
      else odds.forEach((p, level) => { gradient[start + level] = p * (level / (each - 1) - state.expected[place * channels + c]); });
    }
    for (let n = 2; n >= 0; n--) {
      const below = n ? state.head[n - 1] : state.y[depth], next = zeros(below);
      this.head[n].back(gradient, place * this.head[n].outputs, row, column, below, next, true);
      gradient = next;
    }
    const first = Math.max(0, row - this.above) * width, walk = (visit) => {
      for (let p = first; p < Math.min(height * width, (row + 1) * width); p++) visit((p / width) | 0, p % width, p);
    };
    for (let n = depth - 1; n >= 0; n--) {
      const [down, look, up] = this.blocks[n], toLook = zeros(state.look[n]), toDown = zeros(state.down[n]);
      walk((r, c, p) => up.back(gradient, p * up.outputs, r, c, state.look[n], toLook, true));
      walk((r, c, p) => look.back(toLook, p * look.outputs, r, c, state.down[n], toDown, true));
      walk((r, c, p) => down.back(toDown, p * down.outputs, r, c, state.y[n], gradient, true)); // the skip goes on
    }
    const onImage = zeros(state.x), result = new Float32Array(height * width);
    walk((r, c, p) => this.embed.back(gradient, p * this.embed.outputs, r, c, state.x, onImage, false));
    onImage.forEach((value, at) => { result[(at / channels) | 0] += value; });
    return result;
  }
  /** Which pixels before it can have a say at all: 1 for each, by following where the layers look. */
  field(row, column) {
    const { height, width } = this, inside = (r, c) => r >= 0 && c >= 0 && r < height && c < width;
    const spread = (set, taps) => {
      const next = new Uint8Array(height * width);
      set.forEach((on, p) => {
        if (!on) return;
        for (const [dr, dc] of taps) {
          const r = ((p / width) | 0) + dr, c = (p % width) + dc;
          if (inside(r, c)) next[r * width + c] = 1;
        }
      });
      return next;
    };
    let set = new Uint8Array(height * width);
    set[row * width + column] = 1;
    for (const [, look] of this.blocks) set = spread(set, look.taps);
    set = spread(set, this.embed.taps);
    set[row * width + column] = 0;
    return set;
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
        for (let o = 0; o < each; o++, at++) off = Math.max(off, Math.abs(logits[p * each + o] - truth[at]));
      }
    }
    return off;
  }
}
