// Products of weights and inputs, where a network spends its time.

/** out = W x + b, W (out, in) row by row. Four rows at a time: one sum alone would wait for each addition. */
export function dense(weight, bias, x, out) {
  const inputs = x.length, outputs = out.length, fours = outputs & ~3;
  let o = 0;
  for (; o < fours; o += 4) {
    let a = 0, b = 0, c = 0, d = 0, first = o * inputs, second = first + inputs, third = second + inputs, fourth = third + inputs;
    for (let i = 0; i < inputs; i++, first++, second++, third++, fourth++) {
      const value = x[i];
      a += weight[first] * value;
      b += weight[second] * value;
      c += weight[third] * value;
      d += weight[fourth] * value;
    }
    out[o] = a; out[o + 1] = b; out[o + 2] = c; out[o + 3] = d;
  }
  for (let w = o * inputs; o < outputs; o++) {
    let a = 0;
    for (let i = 0; i < inputs; i++, w++) a += weight[w] * x[i];
    out[o] = a;
  }
  if (bias) for (o = 0; o < outputs; o++) out[o] += bias[o];
  return out;
}

let on = new Int32Array(4096);
/** out += x · M, M (in, out) from `start` on, without the rows that are times 0: states of binary units are mostly 0. */
export function addRows(matrix, start, x, out) {
  const wide = out.length;
  if (on.length < x.length) on = new Int32Array(x.length);
  let count = 0, n = 0;
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) on[count++] = i;
  for (; n + 4 <= count; n += 4) { // four at a time, to go through out less often
    const a = x[on[n]], b = x[on[n + 1]], c = x[on[n + 2]], d = x[on[n + 3]];
    let first = start + on[n] * wide, second = start + on[n + 1] * wide, third = start + on[n + 2] * wide, fourth = start + on[n + 3] * wide;
    for (let o = 0; o < wide; o++, first++, second++, third++, fourth++) out[o] += a * matrix[first] + b * matrix[second] + (c * matrix[third] + d * matrix[fourth]);
  }
  for (; n < count; n++) {
    const value = x[on[n]];
    for (let o = 0, at = start + on[n] * wide; o < wide; o++, at++) out[o] += value * matrix[at];
  }
}

/** Transposes of weights, made when they are first needed. */
const flips = new WeakMap();
export function flipped(weight) {
  const [rows, columns] = weight.shape;
  if (!flips.has(weight)) {
    const made = new Float32Array(weight.length);
    for (let r = 0, w = 0; r < rows; r++) for (let c = 0; c < columns; c++, w++) made[c * rows + r] = weight[w];
    flips.set(weight, made);
  }
  return flips.get(weight);
}
const SPARSE = 1 / 3; // share of inputs other than 0 below which a layer goes through those alone
export function isSparse(x) {
  let on = 0;
  for (let i = 0; i < x.length; i++) if (x[i] !== 0) on++;
  return on < SPARSE * x.length;
}

/** The first and last place on the small side that a tap takes to the large one. */
function reach(size, limit, stride, offset) {
  return [Math.max(0, Math.ceil(-offset / stride)), Math.min(size - 1, Math.floor((limit - 1 - offset) / stride))];
}
/** Calls visit(place on the small side, on the large side, step on the large side, length) for each row of what a tap connects. */
function along([H, W], [LH, LW], [down, across], top, left, visit) {
  const [r0, r1] = reach(H, LH, down, top), [c0, c1] = reach(W, LW, across, left);
  for (let r = r0; r <= r1; r++) visit(r * W + c0, (r * down + top) * LW + c0 * across + left, across, c1 - c0 + 1);
}

let room = new Float32Array(0);
/** A convolution as a product of its weights and all windows, or where `scatter`, its transpose: cells paint the kernel. */
export function convolve([x, weight, bias], out, { stride, padding, dilation, groups }, scatter) {
  const [, C, ...before] = x.shape, [, K, ...after] = out.shape, [kh, kw] = weight.shape.slice(2), taps = kh * kw;
  const perIn = C / groups, perOut = K / groups, cells = before[0] * before[1], plane = after[0] * after[1];
  const offset = (tap) => [((tap / kw) | 0) * dilation[0] - padding[0], (tap % kw) * dilation[1] - padding[1]];
  const needed = scatter ? cells : perIn * taps * plane;
  if (room.length < needed) room = new Float32Array(needed);
  for (let k = 0; k < K; k++) out.fill(bias ? bias[k] : 0, k * plane, (k + 1) * plane);
  for (let group = 0; group < groups; group++) {
    if (scatter) {
      const column = new Float32Array(perIn), painted = room.subarray(0, cells);
      for (let k = 0; k < perOut; k++)
        for (let tap = 0; tap < taps; tap++) {
          for (let c = 0; c < perIn; c++) column[c] = weight[((group * perIn + c) * perOut + k) * taps + tap];
          painted.fill(0);
          addRows(x, group * perIn * cells, column, painted);
          const base = (group * perOut + k) * plane;
          along(before, after, stride, ...offset(tap), (from, to, step, length) => {
            for (let n = 0, at = base + to; n < length; n++, at += step) out[at] += painted[from + n];
          });
        }
      continue;
    }
    for (let c = 0; c < perIn; c++)
      for (let tap = 0; tap < taps; tap++) {
        const base = (c * taps + tap) * plane, source = (group * perIn + c) * cells;
        room.fill(0, base, base + plane);
        along(after, before, stride, ...offset(tap), (to, from, step, length) => {
          for (let n = 0, at = source + from; n < length; n++, at += step) room[base + to + n] = x[at];
        });
      }
    for (let k = group * perOut; k < (group + 1) * perOut; k++)
      addRows(room, 0, weight.subarray(k * perIn * taps, (k + 1) * perIn * taps), out.subarray(k * plane, (k + 1) * plane));
  }
}
