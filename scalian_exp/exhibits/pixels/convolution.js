// A masked convolution at one pixel, and the way back to what it saw. Maps are stored pixel by pixel, (row, column, feature).
import { addRows, dense } from "../frame/products.js";

/** `views`: for each map that it sees, the map's height and width, its features (`inputs`), and the (row, column) steps to
 * where it looks (`taps`). weight (out, in) has the features of all taps of all views one after the other. */
export class MaskedConvolution {
  constructor(views, weight, bias, width) {
    Object.assign(this, { views, weight, bias, width, outputs: weight.shape[0], window: new Float32Array(weight.shape[1]) });
    this.places = views.map(({ taps }) => new Int32Array(taps.length));
  }
  /** Where a view's taps lie on its map, seen from a position; −1 for those outside. */
  look(v, row, column) {
    const { taps, inputs, height, width } = this.views[v], places = this.places[v];
    for (let t = 0; t < taps.length; t++) {
      const r = row + taps[t][0], c = column + taps[t][1];
      places[t] = r < 0 || c < 0 || r >= height || c >= width ? -1 : (r * width + c) * inputs;
    }
    return places;
  }
  /** The outputs' part of a map at a position. */
  of(map, row, column) {
    const start = (row * this.width + column) * this.outputs;
    return map.subarray(start, start + this.outputs);
  }
  /** Computes the outputs at a position, onto the map `out`, of what lies on the maps now. With `rectified`, of max(0, x). */
  at(maps, row, column, out, rectified = false) {
    const { views, window } = this;
    let n = 0;
    for (let v = 0; v < views.length; v++) {
      const map = maps[v], { inputs } = views[v], places = this.look(v, row, column);
      for (let t = 0; t < places.length; t++) {
        const from = places[t];
        if (from < 0) for (let i = 0; i < inputs; i++) window[n++] = 0;
        else if (rectified) for (let i = 0; i < inputs; i++) window[n++] = Math.max(0, map[from + i]);
        else for (let i = 0; i < inputs; i++) window[n++] = map[from + i];
      }
    }
    dense(this.weight, this.bias, window, this.of(out, row, column));
  }
  /** Gradients of the outputs at a position → added to those of the maps (…, behind the rectifier where there is one). */
  back(gradient, maps, row, column, into, rectified = false) {
    const { views, window } = this, own = this.of(gradient, row, column);
    if (own.every((value) => value === 0)) return;
    window.fill(0);
    addRows(this.weight, 0, own, window);
    let n = 0;
    for (let v = 0; v < views.length; v++) {
      const map = maps[v], target = into[v], { inputs } = views[v], places = this.look(v, row, column);
      for (let t = 0; t < places.length; t++) {
        const from = places[t];
        if (from >= 0) for (let i = 0; i < inputs; i++) if (!rectified || map[from + i] > 0) target[from + i] += window[n + i];
        n += inputs;
      }
    }
  }
}

/** The positions that a set of positions sees through taps; sets are maps of 0 and 1. */
export function spread(set, taps, height, width) {
  const next = new Uint8Array(set.length);
  set.forEach((on, p) => {
    if (!on) return;
    for (const [down, across] of taps) {
      const r = ((p / width) | 0) + down, c = (p % width) + across;
      if (r >= 0 && c >= 0 && r < height && c < width) next[r * width + c] = 1;
    }
  });
  return next;
}
