// Programs of operations on arrays, as program.py writes them: functions of the run's network.
import { ELEMENTWISE, OF_TWO, OPERATIONS, count, ofTwo } from "./operations.js";

function shaped(shape) {
  const made = new Float32Array(count(shape));
  made.shape = shape;
  made.computed = true;
  return made;
}

/** A function of a network: run(input, …) → its outputs, each a Float32Array that the next run overwrites. */
export class Program {
  constructor(about, arrays) {
    Object.assign(this, about, { arrays, registers: [] });
    for (const { out, shape } of this.operations) this.registers[out] = shaped(shape);
    for (let n = 0; n < this.inputs; n++) this.registers[n] = shaped(arrays[`probe${n}`].shape);
    const value = (operand) => (typeof operand !== "string" ? operand : operand[0] === "r" ? this.registers[operand.slice(1)] : arrays[operand]);
    this.steps = this.operations.map((op) => {
      const values = op.in.map(value), out = this.registers[op.out], each = ELEMENTWISE[op.op], two = OF_TWO[op.op];
      if (each) return () => { const [x] = values; for (let i = 0; i < out.length; i++) out[i] = each(x[i], op); };
      if (two) return () => ofTwo(two, values, out, op);
      return () => OPERATIONS[op.op](values, out, op);
    });
    this.results = this.outputs.map(value);
  }
  run(...inputs) {
    inputs.forEach((input, n) => this.registers[n].set(input));
    for (const step of this.steps) step();
    return this.results;
  }
  /** A function from some inputs to some outputs, by their numbers: the steps between them alone. */
  part(inputs, outputs) {
    const needed = new Set(outputs.map((n) => this.outputs[n])), steps = [];
    for (let s = this.operations.length - 1; s >= 0; s--) {
      if (!needed.has(`r${this.operations[s].out}`)) continue;
      for (const operand of this.operations[s].in) needed.add(operand);
      steps.unshift(this.steps[s]);
    }
    return (...values) => {
      inputs.forEach((number, n) => this.registers[number].set(values[n]));
      for (const step of steps) step();
      return outputs.map((n) => this.results[n]);
    };
  }
  /** The largest deviation from torch's outputs on the stored examples, as a share of their largest absolute value, or of 1. */
  check() {
    const { arrays } = this;
    const results = this.run(...Array.from({ length: this.inputs }, (_, n) => arrays[`probe${n}`]));
    return Math.max(...results.map((result, n) => {
      const truth = arrays[`truth${n}`];
      let off = 0, size = 1;
      truth.forEach((value, i) => { off = Math.max(off, Math.abs(value - result[i])); size = Math.max(size, Math.abs(value)); }); // NaN stays
      return Number.isNaN(off) ? Infinity : off / size;
    }));
  }
}
