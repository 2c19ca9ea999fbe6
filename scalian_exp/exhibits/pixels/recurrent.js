// The layers of a PixelRNN: Row LSTM and Diagonal BiLSTM, whose cells are computed once each, from their neighbours' states.
import { sigmoid } from "../frame/operations.js";
import { spread } from "./convolution.js";

/** One direction of a layer. `gates` (output, forget, input, content) see the layer's inputs, the neighbours' states and a context
 * if there is one; `memory` is the (row, column) step to the neighbour whose memory goes on. */
class Direction {
  constructor(gates, memory, height, width) {
    Object.assign(this, { gates, memory, height, width, features: gates.outputs / 4 });
  }
  maps(map) { return { gates: map(4 * this.features), states: map(this.features), memories: map(this.features) }; }
  /** Where the memory of a position comes from; −1 from outside. */
  before(row, column) {
    const r = row + this.memory[0], c = column + this.memory[1];
    return r < 0 || c < 0 || c >= this.width ? -1 : (r * this.width + c) * this.features;
  }
  /** Computes the state at a position, of the inputs on the map y. */
  at({ gates, states, memories }, y, row, column, context) {
    this.gates.at([y, states, context], row, column, gates);
    const { features } = this, at = (row * this.width + column) * features, before = this.before(row, column);
    for (let n = 0, o = 4 * at, f = o + features, i = f + features, g = i + features; n < features; n++, o++, f++, i++, g++) {
      gates[o] = sigmoid(gates[o]); gates[f] = sigmoid(gates[f]); gates[i] = sigmoid(gates[i]); gates[g] = Math.tanh(gates[g]);
      memories[at + n] = gates[i] * gates[g] + (before < 0 ? 0 : gates[f] * memories[before + n]);
      states[at + n] = gates[o] * Math.tanh(memories[at + n]);
    }
  }
  /** Gradients of the states → added to those of the inputs, position by position, against the order of `at`. */
  back({ gates, states, memories }, y, toStates, toInputs, walk, context, toContext) {
    const { features } = this, toMemories = new Float32Array(memories.length), toGates = new Float32Array(gates.length);
    walk((row, column) => {
      const at = (row * this.width + column) * features, before = this.before(row, column);
      for (let n = 0, o = 4 * at, f = o + features, i = f + features, g = i + features; n < features; n++, o++, f++, i++, g++) {
        const squashed = Math.tanh(memories[at + n]), toState = toStates[at + n];
        const toMemory = toMemories[at + n] + toState * gates[o] * (1 - squashed ** 2);
        if (!toState && !toMemory) continue;
        toGates[o] = toState * squashed * gates[o] * (1 - gates[o]);
        toGates[i] = toMemory * gates[g] * gates[i] * (1 - gates[i]);
        toGates[g] = toMemory * gates[i] * (1 - gates[g] ** 2);
        if (before < 0) continue;
        toGates[f] = toMemory * memories[before + n] * gates[f] * (1 - gates[f]);
        toMemories[before + n] += toMemory * gates[f];
      }
      this.gates.back(toGates, [y, states, context], row, column, [toInputs, toStates, toContext]);
    }, this.memory[1] <= 0);
  }
  /** The positions of the inputs that the states of a set depend on; `seen` gets those of the context. */
  field(set, seen) {
    const { height, width, gates: { views: [inputs, neighbours] } } = this;
    let all = set.slice(), newest = set;
    while (newest.some(Boolean)) { // neighbours of neighbours …
      newest = spread(newest, neighbours.taps, height, width).map((on, p) => (all[p] ? 0 : on));
      all = all.map((on, p) => on | newest[p]);
    }
    all.forEach((on, p) => { seen[p] |= on; });
    return spread(all, inputs.taps, height, width);
  }
}

/** An LSTM layer, computed at one pixel. A second direction goes from right to left through the rows above, and its states
 * are moved down by one row; so each finished row is walked back once. */
export class LSTMLayer {
  constructor(part, memories, height, width) {
    this.directions = memories.map((memory, n) => new Direction(part(`gates.${n}`), memory, height, width));
    Object.assign(this, { height, width, up: part("up") });
    this.outputs = this.up.outputs;
  }
  maps(map) { return { directions: this.directions.map((direction) => direction.maps(map)), sum: map(this.directions[0].features) }; }
  /** Computes the features `after` it at a position, of the map y before it, and of a context if there is one. */
  step({ directions, sum }, y, after, row, column, context) {
    const [first] = this.directions, { features } = first, at = (row * this.width + column) * features, above = at - this.width * features;
    first.at(directions[0], y, row, column, context);
    for (let n = 0; n < features; n++) sum[at + n] = directions[0].states[at + n] + (directions[1] && row ? directions[1].states[above + n] : 0);
    this.up.at([sum], row, column, after);
  }
  /** Walks a finished row back. */
  finish({ directions }, y, row, context) {
    if (directions[1]) for (let column = this.width - 1; column >= 0; column--) this.directions[1].at(directions[1], y, row, column, context);
  }
  /** Adds to the gradient, which is that of the features behind it, its share in that of the features before it,
   * and the context's. */
  back({ directions, sum }, y, gradient, walk, context, toContext) {
    const toSum = new Float32Array(sum.length), row = this.width * this.directions[0].features;
    walk((r, c) => this.up.back(gradient, [sum], r, c, [toSum]));
    const toStates = directions.map((_, n) => { // the second's lie one row above
      const moved = new Float32Array(toSum.length);
      moved.set(toSum.subarray(n * row));
      return moved;
    });
    this.directions.forEach((direction, n) => direction.back(directions[n], y, toStates[n], gradient, walk, context, toContext));
  }
  /** The positions before it that those of a set depend on; `seen` gets those of the context. */
  field(set, seen) {
    const all = set.slice();
    this.directions.forEach((direction, n) => {
      const states = new Uint8Array(set.length);
      states.set(set.subarray(n * this.width));
      direction.field(states, seen).forEach((on, p) => { all[p] |= on; });
    });
    return all;
  }
}
