// Operations on arrays in plain JavaScript, as operations.py names them, one example at a time.
import { addRows, convolve, dense, flipped, isSparse } from "./products.js";

export const sigmoid = (x) => 1 / (1 + Math.exp(-x));
/** log(1 + eˣ) */
export const softplus = (x) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)));
/** The normal distribution's error function (Abramowitz & Stegun 7.1.26, to 1.5e-7). */
function erf(x) {
  const t = 1 / (1 + 0.3275911 * Math.abs(x));
  const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-x * x);
  return x < 0 ? tail - 1 : 1 - tail;
}
const clamp = (x, low, high) => Math.min(Math.max(x, low ?? -Infinity), high ?? Infinity);
export const count = (shape) => shape.reduce((a, b) => a * b, 1);

export const ELEMENTWISE = {
  relu: (x) => Math.max(0, x), sigmoid, softplus, tanh: Math.tanh, exp: Math.exp, log: Math.log, sqrt: Math.sqrt, abs: Math.abs,
  neg: (x) => -x, square: (x) => x * x, rsqrt: (x) => 1 / Math.sqrt(x), reciprocal: (x) => 1 / x, logit(x, { eps }) { const p = eps === null ? x : clamp(x, eps, 1 - eps); return Math.log(p / (1 - p)); },
  silu: (x) => x * sigmoid(x), relu6: (x) => clamp(x, 0, 6), hardsigmoid: (x) => clamp(x / 6 + 0.5, 0, 1),
  hardswish: (x) => x * clamp(x / 6 + 0.5, 0, 1), clamp: (x, { low, high }) => clamp(x, low, high),
  leaky_relu: (x, { slope }) => (x > 0 ? x : slope * x), elu: (x, { alpha }) => (x > 0 ? x : alpha * Math.expm1(x)),
  gelu: (x, { approximate }) => 0.5 * x * (1 + (approximate ? Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)) : erf(x / Math.SQRT2))),
};
export const OF_TWO = {
  add: (x, y, alpha) => x + alpha * y, sub: (x, y, alpha) => x - alpha * y, mul: (x, y) => x * y, div: (x, y) => x / y,
  minimum: (x, y) => Math.min(x, y), maximum: (x, y) => Math.max(x, y), pow: (x, y) => x ** y,
};

/** Calls visit(index in out, index in x) for x broadcast to the shape of out. */
function broadcast(from, shape, visit) {
  const lacking = shape.length - from.length, strides = new Array(shape.length).fill(0);
  for (let d = from.length - 1, stride = 1; d >= 0; stride *= from[d--]) strides[d + lacking] = from[d] === 1 ? 0 : stride;
  walk(shape, strides, visit);
}
/** Calls visit(n, place) for the n-th element of a shape, where its dimensions have these strides. */
function walk(shape, strides, visit, start = 0) {
  const at = new Array(shape.length).fill(0), total = count(shape);
  for (let n = 0, place = start; n < total; n++) {
    visit(n, place);
    for (let d = shape.length - 1; d >= 0; d--) {
      place += strides[d];
      if (++at[d] < shape[d]) break;
      place -= strides[d] * shape[d];
      at[d] = 0;
    }
  }
}
const stridesOf = (shape) => shape.map((_, d) => count(shape.slice(d + 1)));

export function ofTwo(combine, [x, y], out, { alpha = 1 }) {
  const one = typeof y === "number", other = typeof x === "number";
  if (one || other || (count(x.shape) === out.length && count(y.shape) === out.length)) {
    for (let i = 0; i < out.length; i++) out[i] = combine(other ? x : x[i], one ? y : y[i], alpha);
    return;
  }
  const wide = new Float32Array(out.length);
  broadcast(x.shape, out.shape, (n, place) => { wide[n] = x[place]; });
  broadcast(y.shape, out.shape, (n, place) => { out[n] = combine(wide[n], y[place], alpha); });
}

/** Splits a shape at a dimension: [how many before, its size, how many behind]. */
const around = (shape, dim) => [count(shape.slice(0, dim)), shape[dim], count(shape.slice(dim + 1))];

export const OPERATIONS = {
  reshape: ([x], out) => out.set(x),
  linear([x, weight, bias], out) {
    const [outputs, inputs] = weight.shape;
    for (let n = 0; n < x.length / inputs; n++) {
      const row = x.subarray(n * inputs, (n + 1) * inputs), result = out.subarray(n * outputs, (n + 1) * outputs);
      if (weight.computed || !isSparse(row)) { dense(weight, bias, row, result); continue; }
      if (bias) result.set(bias); else result.fill(0);
      addRows(flipped(weight), 0, row, result);
    }
  },
  matmul([x, y, bias], out) { // (…, n, k) times (…, k, m); what is before must agree, or y be a matrix or a vector (k)
    const k = x.shape.at(-1), m = y.shape.length === 1 ? 1 : y.shape.at(-1), rows = x.shape.at(-2) ?? 1, each = y.shape.length > 2 ? k * m : 0;
    for (let r = 0; r < out.length / m; r++) {
      const row = out.subarray(r * m, (r + 1) * m);
      if (bias) row.set(bias.length === m ? bias : bias.subarray(r * m, (r + 1) * m)); else row.fill(0);
      addRows(y, each * ((r / rows) | 0), x.subarray(r * k, (r + 1) * k), row);
    }
  },
  convolution: (values, out, op) => convolve(values, out, op, false),
  transposed: (values, out, op) => convolve(values, out, op, true),
  affine([x, scale, shift], out) {
    const [, , behind] = around(out.shape, 1);
    for (let i = 0; i < out.length; i++) { const c = ((i / behind) | 0) % scale.length; out[i] = x[i] * scale[c] + shift[c]; }
  },
  max_pool([x], out, { kernel, stride, padding, dilation }) {
    const [, C, H, W] = x.shape, [, , OH, OW] = out.shape;
    let n = 0;
    for (let c = 0; c < C; c++)
      for (let r = 0; r < OH; r++)
        for (let s = 0; s < OW; s++, n++) {
          let best = -Infinity;
          for (let u = 0; u < kernel[0]; u++) {
            const row = r * stride[0] + u * dilation[0] - padding[0];
            if (row < 0 || row >= H) continue;
            for (let v = 0; v < kernel[1]; v++) {
              const column = s * stride[1] + v * dilation[1] - padding[1];
              if (column >= 0 && column < W) best = Math.max(best, x[(c * H + row) * W + column]);
            }
          }
          out[n] = best;
        }
  },
  separable([x, rows, columns], out) {
    const [, C, H, W] = x.shape, [, , OH, OW] = out.shape, half = new Float32Array(OH * W);
    for (let c = 0; c < C; c++) {
      half.fill(0);
      for (let r = 0; r < OH; r++)
        for (let h = 0; h < H; h++) {
          const w = rows[r * H + h];
          if (w) for (let s = 0; s < W; s++) half[r * W + s] += w * x[(c * H + h) * W + s];
        }
      for (let r = 0; r < OH; r++) dense(columns, null, half.subarray(r * W, (r + 1) * W), out.subarray((c * OH + r) * OW, (c * OH + r + 1) * OW));
    }
  },
  softmax([x], out, { dim }, log) {
    const [before, size, behind] = around(out.shape, dim);
    for (let b = 0; b < before; b++)
      for (let e = 0; e < behind; e++) {
        const start = b * size * behind + e;
        let most = -Infinity, sum = 0;
        for (let i = 0; i < size; i++) most = Math.max(most, x[start + i * behind]);
        for (let i = 0; i < size; i++) sum += Math.exp(x[start + i * behind] - most);
        for (let i = 0, at = start; i < size; i++, at += behind) out[at] = log ? x[at] - most - Math.log(sum) : Math.exp(x[at] - most) / sum;
      }
  },
  log_softmax: (values, out, op) => OPERATIONS.softmax(values, out, op, true),
  permute([x], out, { order }) {
    const strides = stridesOf(x.shape);
    walk(out.shape, order.map((d) => strides[d]), (n, place) => { out[n] = x[place]; });
  },
  slice([x], out, { dim, start, step, kept = true }) {
    const [before, size, behind] = around(x.shape, dim), taken = kept ? out.shape[dim] : 1;
    for (let b = 0, n = 0; b < before; b++)
      for (let i = 0; i < taken; i++, n += behind) {
        const from = (b * size + start + i * step) * behind;
        out.set(x.subarray(from, from + behind), n);
      }
  },
  scatter([x, part, places], out) { out.set(x); for (let i = 0; i < places.length; i++) out[places[i]] = part[i]; },
  take([x, places], out) { for (let i = 0; i < out.length; i++) out[i] = x[places[i]]; },
  concatenate(parts, out, { dim, stacked }) {
    const [before, size, behind] = around(out.shape, dim);
    let start = 0;
    for (const x of parts) {
      const length = (stacked ? 1 : x.shape[dim]) * behind;
      for (let b = 0; b < before; b++) out.set(x.subarray(b * length, (b + 1) * length), b * size * behind + start);
      start += length;
    }
  },
  where([condition, x, y], out) {
    const chosen = new Uint8Array(out.length), spread = (values, visit) => (typeof values === "number" ? chosen.forEach((_, n) => visit(n, values)) : broadcast(values.shape, out.shape, (n, place) => visit(n, values[place])));
    spread(condition, (n, value) => { chosen[n] = value; });
    spread(x, (n, value) => { if (chosen[n]) out[n] = value; });
    spread(y, (n, value) => { if (!chosen[n]) out[n] = value; });
  },
  pad([x], out, { before, value }) {
    out.fill(value);
    const strides = stridesOf(out.shape), last = out.shape.length - 1;
    const first = strides.reduce((sum, stride, d) => sum + stride * (before[last - d] ?? 0), 0);
    walk(x.shape, strides, (n, place) => { out[place] = x[n]; }, first);
  },
  sum([x], out, { dims }, mean) {
    out.fill(0);
    const gone = new Set((dims ?? x.shape.map((_, d) => d)).map((d) => (d + x.shape.length) % x.shape.length));
    const remaining = x.shape.map((size, d) => (gone.has(d) ? 1 : size)), strides = stridesOf(remaining).map((s, d) => (gone.has(d) ? 0 : s));
    walk(x.shape, strides, (n, place) => { out[place] += x[n]; });
    if (mean) for (let i = 0; i < out.length; i++) out[i] /= x.length / out.length;
  },
  mean: (values, out, op) => OPERATIONS.sum(values, out, op, true),
  expand: ([x], out) => broadcast(x.shape, out.shape, (n, place) => { out[n] = x[place]; }),
};
