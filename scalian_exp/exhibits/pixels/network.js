// A PixelCNN or PixelRNN that goes on pixel by pixel, and says what a pixel depended on.
import { PixelByPixel } from "./base.js";
import { MaskedConvolution, spread } from "./convolution.js";
import { LSTMLayer } from "./recurrent.js";
import { ResidualBlock } from "./residual.js";

/** Each pixel computes what depends on it alone, row by row. The maps may be wider than the image, because some layers
 * begin beyond the end of a row. */
export class PixelNetwork extends PixelByPixel {
  constructor(arrays, { name: network, shape: [channels, height, width], levels, views, memories, above, beyond, context }) {
    super(channels, height, width, levels, Int32Array.from({ length: height * width }, (_, p) => p));
    const wide = width + beyond, part = (name) => {
      const seen = views[name].map((view) => ({ ...view, height, width: name === "embed" ? width : wide }));
      return new MaskedConvolution(seen, arrays[`${network}${name}.weight`], arrays[`${network}${name}.bias`], wide);
    };
    this.embed = part("embed");
    this.layers = memories.map((steps, n) => {
      const own = (name) => part(`layers.${n}.${name}`);
      return steps.length ? new LSTMLayer(own, steps, height, wide) : new ResidualBlock(own, height, wide);
    });
    this.head = [0, 1, 2].map((n) => part(`head.${n}`));
    Object.assign(this, { wide, above, context });
  }
  /** The maps of one image, what was expected of its pixels, and −log p of their values, in nats. */
  state() {
    const all = [], made = (length) => { all.push(new Float32Array(length)); return all.at(-1); };
    const onImage = () => made(this.height * this.width * this.channels), map = (features) => made(this.height * this.wide * features);
    return {
      all, row: made(1), x: onImage(), expected: onImage(), nats: onImage(), context: map(this.context),
      y: [this.embed, ...this.layers].map(({ outputs }) => map(outputs)),
      layers: this.layers.map((layer) => layer.maps(map)),
      head: this.head.map(({ outputs }) => map(outputs)),
    };
  }
  /** Computes a pixel's features, given those before it. */
  trunk({ x, y, layers, context }, row, column) {
    this.embed.at([x], row, column, y[0]);
    this.layers.forEach((layer, n) => {
      const before = y[n], after = y[n + 1], { outputs } = layer, start = (row * this.wide + column) * outputs;
      layer.step(layers[n], before, after, row, column, context);
      for (let i = start; i < start + outputs; i++) after[i] += before[i];
    });
  }
  /** Computes a pixel's logits, given those of `state.x` before it, and the pixel's earlier channels. To be called in order. */
  step(state, n) {
    const row = (n / this.width) | 0, column = n % this.width;
    if (state.row[0] === row - 1) {
      for (let beyond = this.width; beyond < this.wide; beyond++) this.trunk(state, row - 1, beyond);
      this.layers.forEach((layer, depth) => layer.finish(state.layers[depth], state.y[depth], row - 1, state.context));
    }
    state.row[0] = row;
    this.trunk(state, row, column);
    let below = state.y.at(-1);
    this.head.forEach((layer, depth) => {
      layer.at([below], row, column, state.head[depth], true);
      below = state.head[depth];
    });
  }
  logits(state, place) { return this.head[2].of(state.head[2], (place / this.width) | 0, place % this.width); }
  /** d (expected value, or for two values their logit) / d x, channels summed; the context's is added to `toContext`. */
  gradient(state, row, column, toContext) {
    const { wide, channels, each, head, layers } = this, place = row * this.width + column;
    const zeros = (like) => new Float32Array(like.length);
    let gradient = zeros(state.head[2]);
    for (let c = 0; c < channels; c++) {
      const odds = this.odds(state, place, c), own = head[2].of(gradient, row, column), value = (level) => level / (each - 1);
      const expected = odds.reduce((sum, p, level) => sum + p * value(level), 0);
      if (each === 1) own[c] = 1;
      else odds.forEach((p, level) => { own[c * each + level] = p * (value(level) - expected); });
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
    for (let n = layers.length - 1; n >= 0; n--) layers[n].back(state.layers[n], state.y[n], gradient, walk, state.context, toContext); // the skip goes on
    const onImage = zeros(state.x);
    walk((r, c) => this.embed.back(gradient, [state.x], r, c, [onImage]));
    return onImage;
  }
  /** Which pixels before it can have a say at all: 1 for each, by following where the layers look. `seen` gets the positions
   * of the context that can. */
  field(row, column, seen = new Uint8Array(this.height * this.wide)) {
    const { height, width, wide } = this;
    let set = new Uint8Array(height * wide);
    set[row * wide + column] = 1;
    for (const layer of [...this.layers].reverse()) set = layer.field(set, seen);
    set = spread(set, this.embed.views[0].taps, height, wide);
    set[row * wide + column] = 0;
    return Uint8Array.from({ length: height * width }, (_, p) => set[((p / width) | 0) * wide + (p % width)]);
  }
}
