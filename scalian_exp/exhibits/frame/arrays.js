// Arrays out of the page's text, as pack.py wrote them, and a seeded generator.

const BYTES = { f4: 4, f2: 2, u2: 2, i4: 4, u1: 1, i1: 1 };

/** Every 16-bit float as a number, made when first needed. */
let halves = null;
function halfTable() {
  if (halves) return halves;
  halves = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const exponent = (bits >> 10) & 31, fraction = bits & 1023;
    const size = exponent === 0 ? fraction * 2 ** -24 : exponent === 31 ? (fraction ? NaN : Infinity)
      : (1 + fraction / 1024) * 2 ** (exponent - 15);
    halves[bits] = bits & 32768 ? -size : size;
  }
  return halves;
}

/** Base64 of raw deflate → bytes. */
async function inflate(text) {
  const letters = atob(text.trim()), packed = new Uint8Array(letters.length);
  for (let i = 0; i < packed.length; i++) packed[i] = letters.charCodeAt(i);
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** What pack.py packed: name → a typed array with `shape`. */
export async function unpack(text, index) {
  const bytes = await inflate(text), arrays = {};
  for (const [name, { kind, shape, at, scale }] of Object.entries(index)) {
    const count = shape.reduce((a, b) => a * b, 1), size = BYTES[kind];
    let values;
    if (size === 1) values = new (kind === "u1" ? Uint8Array : Int8Array)(bytes.buffer, at, count);
    else { // bytes come grouped by significance
      const plain = new Uint8Array(count * size);
      for (let byte = 0; byte < size; byte++)
        for (let i = 0; i < count; i++) plain[i * size + byte] = bytes[at + byte * count + i];
      if (kind === "f4") values = new Float32Array(plain.buffer);
      else if (kind === "i4") values = new Int32Array(plain.buffer);
      else {
        const words = new Uint16Array(plain.buffer);
        values = words;
        if (kind === "f2") {
          const table = halfTable();
          values = Float32Array.from(words, (word) => table[word]);
        }
        if (scale) { // weights: whole numbers, and a scale for each row, which comes before them
          const row = count / shape[0];
          values = new Float32Array(count);
          for (let i = 0; i < count; i++) values[i] = (words[i] - 32767) * arrays[scale][(i / row) | 0];
        }
      }
    }
    values.shape = shape;
    arrays[name] = values;
  }
  return arrays;
}

/** A seeded generator (sfc32): uniform numbers in [0, 1), and normal ones. */
export function generator(seed) {
  let a = 0x9e3779b9 ^ seed, b = 0x243f6a88, c = 0xb7e15162, d = 1;
  const next = () => {
    const t = (((a + b) | 0) + d) | 0;
    d = (d + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = ((c << 21) | (c >>> 11)) + t | 0;
    return (t >>> 0) / 4294967296;
  };
  for (let i = 0; i < 16; i++) next();
  const normal = () => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());
  return { next, normal };
}
