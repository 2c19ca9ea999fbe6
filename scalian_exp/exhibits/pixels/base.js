// What pixel networks share: probabilities of a pixel's values, values drawn from them, and how they differ from torch's.

/** A network that draws an image on `state.x`, (row, column, channel). `order` lists the pixels as they are visited; `rank`
 * says at which visit each is drawn, its first; `step(state, n)` computes what the n-th visit needs of those before it, and
 * `logits(state, place)` are a pixel's; it has `each` for every channel. */
export class PixelByPixel {
  constructor(channels, height, width, levels, order) {
    Object.assign(this, { channels, height, width, levels, order, each: levels === 2 ? 1 : levels, rank: new Int32Array(height * width).fill(-1) });
    order.forEach((p, n) => { if (this.rank[p] < 0) this.rank[p] = n; });
  }
  copy(from, to) { from.all.forEach((values, n) => to.all[n].set(values)); }
  /** Probabilities of the values of a pixel's channel, from 0 to 1, behind `step`. */
  odds(state, place, channel, temperature = 1) {
    const logits = this.logits(state, place), start = channel * this.each;
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
      const logit = this.logits(state, place)[channel], cost = state.x[at] ? -logit : logit;
      state.nats[at] = cost > 0 ? cost + Math.log1p(Math.exp(-cost)) : Math.log1p(Math.exp(cost));
    } else state.nats[at] = -Math.log(Math.max(odds[Math.round(state.x[at] * last)], 1e-38));
  }
  /** d (expected value, or for two values their logit) / d pixel, channels summed, for every pixel; behind `step`. */
  influence(state, row, column) {
    const result = new Float32Array(this.height * this.width);
    this.gradient(state, row, column).forEach((value, at) => { result[(at / this.channels) | 0] += value; });
    return result;
  }
  /** The largest deviation of logits from torch's, at every few pixels of the stored images. */
  check({ probe, truth }, every) {
    const state = this.state(), size = state.x.length;
    let off = 0, at = 0;
    for (let n = 0; n < probe.shape[0]; n++) {
      state.x.set(probe.subarray(n * size, (n + 1) * size));
      this.order.forEach((_, visit) => this.step(state, visit));
      for (let p = 0; p < this.height * this.width; p += every)
        for (const logit of this.logits(state, p)) off = Math.max(off, Math.abs(logit - truth[at++]));
    }
    return off;
  }
}
