// Numbers on axes.

/** About so many round numbers from low to high: multiples of 1, 2 or 5 times a power of ten. */
export function ticks(low, high, about = 5, whole = false) {
  const least = (high - low) / about || 1, power = 10 ** Math.floor(Math.log10(least));
  let step = [1, 2, 5, 10].find((factor) => factor * power >= least * 0.999) * power;
  if (whole) step = Math.max(1, step);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, n) => (first + n) * step);
}

/** Powers of ten from low to high, or their 1, 2 and 5 times, or else round numbers. */
export function logarithmicTicks(low, high) {
  const found = [], decades = Math.log10(high / low);
  for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power++)
    for (const factor of decades > 3 ? [1] : [1, 2, 5])
      if (factor * 10 ** power >= low * 0.999 && factor * 10 ** power <= high * 1.001) found.push(factor * 10 ** power);
  return found.length > 1 ? found : ticks(low, high);
}

/** A number as short as it can be told from its neighbours. */
export function short(value, digits = 5) {
  if (!Number.isFinite(value)) return "";
  const size = Math.abs(value);
  if (size !== 0 && (size >= 1e6 || size < 1e-4)) return value.toExponential(Math.min(digits, 3) - 1).replace("e+", "e").replace(/\.0+e/, "e");
  return String(Number(value.toPrecision(digits)));
}

/** A scale from [low, high] to [from, to], with its inverse and its ticks. */
export function scale(low, high, from, to, { logarithmic = false, whole = false, about = 5 } = {}) {
  const bend = logarithmic ? Math.log : (value) => value, unbend = logarithmic ? Math.exp : (value) => value;
  const start = bend(low), length = bend(high) - start || 1;
  const at = (value) => from + ((bend(value) - start) / length) * (to - from);
  at.inverse = (place) => unbend(start + ((place - from) / (to - from)) * length);
  at.ticks = logarithmic ? logarithmicTicks(low, high) : ticks(low, high, about, whole);
  at.range = [low, high];
  return at;
}

/** The least and greatest of numbers, somewhat apart; of none, 0 and 1. */
export function extent(values, logarithmic = false, room = 0.04) {
  let low = Infinity, high = -Infinity;
  for (const value of values) if (!logarithmic || value > 0) { if (value < low) low = value; if (value > high) high = value; }
  if (low > high) return logarithmic ? [1, 10] : [0, 1];
  if (logarithmic) return low === high ? [low / 2, high * 2] : [low / (high / low) ** room, high * (high / low) ** room];
  const edge = (high - low || Math.abs(high) || 1) * room;
  return [low - edge, high + edge];
}
