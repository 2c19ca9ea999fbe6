// A Multi-Scale PixelRNN: a network draws every s-th pixel, and another the rest, given this small image as its context.
import { PixelByPixel } from "./base.js";
import { MaskedConvolution, spread } from "./convolution.js";
import { PixelNetwork } from "./network.js";

/** The small image's enlargement: a convolution, and a transposed one, which is a convolution of its own for each of the
 * stride × stride places in a cell; both are rectified. Its result is `wide` and has zeros beyond the image. */
class Enlargement {
  constructor(arrays, { first, phase }, [height, width], [tall, across], wide, stride) {
    const part = (name, views, wide) => new MaskedConvolution(views.map((view) => ({ ...view, height, width })), arrays[`enlarge.${name}.weight`], arrays[`enlarge.${name}.bias`], wide);
    Object.assign(this, { height, width, tall, across, wide, stride, first: part("first", first, width) });
    this.phases = Array.from({ length: stride ** 2 }, (_, n) => part(`phases.${n}`, phase, width + 1));
    this.features = this.first.outputs;
  }
  maps(made) {
    return { hidden: made(this.height * this.width * this.features), phases: this.phases.map(() => made((this.height + 1) * (this.width + 1) * this.features)) };
  }
  /** Calls visit(row, column) for each pixel of the small image. */
  eachSmall(visit) {
    for (let r = 0; r < this.height; r++) for (let c = 0; c < this.width; c++) visit(r, c);
  }
  /** Calls visit(where it is on the context, number of its phase, row, column on the phase's map) for each large pixel. */
  eachLarge(visit) {
    const { stride } = this, padding = stride >> 1;
    for (let r = padding; r < this.tall + padding; r++)
      for (let c = padding; c < this.across + padding; c++)
        visit((r - padding) * this.wide + c - padding, (r % stride) * stride + (c % stride), (r / stride) | 0, (c / stride) | 0);
  }
  run({ hidden, phases }, small, context) {
    this.eachSmall((r, c) => this.first.at([small], r, c, hidden));
    this.eachLarge((place, n, r, c) => {
      this.phases[n].at([hidden], r, c, phases[n], true);
      this.phases[n].of(phases[n], r, c).forEach((value, i) => { context[place * this.features + i] = Math.max(0, value); });
    });
  }
  /** The gradient of the small image. */
  back({ hidden, phases }, small, context, toContext) {
    const toHidden = new Float32Array(hidden.length), toSmall = new Float32Array(small.length), toPhases = phases.map((map) => new Float32Array(map.length));
    this.eachLarge((place, n, r, c) => {
      const own = this.phases[n].of(toPhases[n], r, c), at = place * this.features;
      for (let i = 0; i < own.length; i++) own[i] = context[at + i] > 0 ? toContext[at + i] : 0;
      this.phases[n].back(toPhases[n], [hidden], r, c, [toHidden], true);
    });
    this.eachSmall((r, c) => this.first.back(toHidden, [small], r, c, [toSmall]));
    return toSmall;
  }
  /** The small pixels that a set of the context's positions depends on. */
  field(set) {
    const { height, width } = this, hidden = new Uint8Array(height * width);
    this.eachLarge((place, n, r, c) => {
      if (!set[place]) return;
      for (const [down, across] of this.phases[n].views[0].taps)
        if (r + down >= 0 && c + across >= 0 && r + down < height && c + across < width) hidden[(r + down) * width + c + across] = 1;
    });
    return spread(hidden, this.first.views[0].taps, height, width);
  }
}

export class MultiScale extends PixelByPixel {
  constructor(arrays, { shape: [channels, height, width], levels, stride, small, large, enlarge }) {
    const [, tall, across] = small.shape;
    const first = Array.from({ length: tall * across }, (_, n) => ((n / across) | 0) * stride * width + (n % across) * stride);
    super(channels, height, width, levels, Int32Array.from([...first, ...Array(height * width).keys()]));
    Object.assign(this, { smaller: first.length, small: new PixelNetwork(arrays, small), large: new PixelNetwork(arrays, large) });
    this.enlargement = new Enlargement(arrays, enlarge, [tall, across], [height, width], this.large.wide, stride);
  }
  state() {
    const small = this.small.state(), large = this.large.state(), all = [...small.all, ...large.all];
    const made = (length) => { all.push(new Float32Array(length)); return all.at(-1); };
    return { all, small, large, enlarged: this.enlargement.maps(made), x: large.x, expected: large.expected, nats: large.nats };
  }
  step(state, n) {
    const { channels, smaller, order } = this;
    if (n <= smaller) // what has been drawn by now
      for (let i = 0; i < smaller; i++)
        for (let c = 0; c < channels; c++) state.small.x[i * channels + c] = state.x[order[i] * channels + c];
    if (n < smaller) { this.small.step(state.small, n); return; }
    if (n === smaller) this.enlargement.run(state.enlarged, state.small.x, state.large.context);
    this.large.step(state.large, n - smaller);
  }
  /** A pixel's row and column in the small image, or null for the others. */
  inSmall(place) {
    const n = this.rank[place], across = this.small.width;
    return n < this.smaller ? [(n / across) | 0, n % across] : null;
  }
  logits(state, place) { return this.inSmall(place) ? this.small.logits(state.small, this.rank[place]) : this.large.logits(state.large, place); }
  gradient(state, row, column) {
    const { channels, order } = this, own = this.inSmall(row * this.width + column), toContext = new Float32Array(state.large.context.length);
    const result = own ? new Float32Array(state.x.length) : this.large.gradient(state.large, row, column, toContext);
    const { small, large, enlarged } = state;
    const onSmall = own ? this.small.gradient(small, ...own) : this.enlargement.back(enlarged, small.x, large.context, toContext);
    onSmall.forEach((value, at) => { result[order[(at / channels) | 0] * channels + (at % channels)] += value; });
    return result;
  }
  field(row, column) {
    const own = this.inSmall(row * this.width + column), seen = new Uint8Array(this.height * this.large.wide);
    const result = own ? new Uint8Array(this.height * this.width) : this.large.field(row, column, seen);
    const onSmall = own ? this.small.field(...own) : this.enlargement.field(seen);
    onSmall.forEach((on, n) => { if (on) result[this.order[n]] = 1; });
    return result;
  }
}
