// The layer of a PixelCNN.
import { spread } from "./convolution.js";

/** A residual block of masked convolutions, computed at one pixel. */
export class ResidualBlock {
  constructor(part, height, width) {
    Object.assign(this, { height, width, down: part("down"), look: part("look"), up: part("up") });
    this.outputs = this.up.outputs;
  }
  maps(map) { return { down: map(this.down.outputs), look: map(this.look.outputs) }; }
  /** Computes the features `after` it at a position, of the map y before it, and of a context if there is one. */
  step({ down, look }, y, after, row, column, context) {
    this.down.at([y], row, column, down, true);
    this.look.at([down, context], row, column, look, true); // a context is never negative
    this.up.at([look], row, column, after, true);
  }
  finish() {}
  /** Adds to the gradient, which is that of the features behind it, its share in that of the features before it,
   * and the context's. */
  back({ down, look }, y, gradient, walk, context, toContext) {
    const toLook = new Float32Array(look.length), toDown = new Float32Array(down.length);
    walk((r, c) => this.up.back(gradient, [look], r, c, [toLook], true));
    walk((r, c) => this.look.back(toLook, [down, context], r, c, [toDown, toContext], true));
    walk((r, c) => this.down.back(toDown, [y], r, c, [gradient], true));
  }
  /** The positions before it that those of a set depend on; `seen` gets those of the context. */
  field(set, seen) {
    set.forEach((on, p) => { seen[p] |= on; });
    return spread(set, this.look.views[0].taps, this.height, this.width);
  }
}
