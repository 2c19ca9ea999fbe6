import { generator } from "../frame/arrays.js";
import { convolve } from "../frame/products.js";
import { Pixels, cells, choice, colour, eachFrame, element, exhibit, mix, number, onChange, percent, svg } from "../frame/kit.js";

const SIDE = 6;

/** What a transposed convolution makes of one channel (rows, columns) with a kernel of that height and width. */
export function painted(values, [rows, columns], kernel, [high, wide], stride) {
  const shape = [(rows - 1) * stride[0] + high, (columns - 1) * stride[1] + wide], out = new Float32Array(shape[0] * shape[1]);
  const shaped = (array, sides) => Object.assign(Float32Array.from(array), { shape: [1, 1, ...sides] });
  out.shape = [1, 1, ...shape];
  convolve([shaped(values, [rows, columns]), shaped(kernel, [high, wide]), null], out, { stride, padding: [0, 0], dilation: [1, 1], groups: 1 }, true);
  return { out, shape };
}
/** A bilinear kernel for a stride: side 2s − s mod 2 (Long et al. 2015). */
export function bilinear(stride) {
  const side = 2 * stride - (stride % 2), ramp = Array.from({ length: side }, (_, i) => 1 - Math.abs(i - (side - 1) / 2) / stride);
  return { kernel: ramp.flatMap((a) => ramp.map((b) => a * b)), side };
}

exhibit("filters", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`), { arrays } = blocks[facts.filters];
  const random = generator(1), noise = Array.from({ length: SIDE * SIDE }, () => random.next()), weights = Array.from({ length: 64 }, () => random.normal());
  const inputs = {
    dot: (i) => (i === 2 * SIDE + 2 ? 1 : 0), edge: (i) => (i % SIDE < SIDE / 2 ? 0 : 1), noise: (i) => noise[i], ones: () => 1,
  };
  const values = new Float32Array(SIDE * SIDE);
  let look = [2, 2], kind = "constant", own = null, layer = 0, result = null, drawing = null;
  const value = (name) => Number(part(name).value);
  const diverging = (v, most) => mix(colour("paper"), colour(v < 0 ? "less" : "more"), Math.min(Math.abs(v) / (most || 1), 1));
  const ink = (v, most) => mix(colour("paper"), colour("ink-dot"), Math.min(Math.max(v / (most || 1), 0), 1));
  function picture(canvas, array, [rows, columns]) {
    const most = array.reduce((m, v) => Math.max(m, Math.abs(v)), 0), negative = array.some((v) => v < 0);
    new Pixels(canvas, columns, rows).paint((i) => (negative ? diverging : ink)(array[i], most));
  }
  /** The kernel in use: {kernel, sides, stride}. */
  function used() {
    if (kind === "own" && own) return own;
    const side = value("size");
    return { kernel: Array.from({ length: side * side }, (_, i) => (kind === "random" ? weights[i] : 1)), sides: [side, side], stride: [value("stride"), value("stride")] };
  }
  function show() {
    const { kernel, sides, stride } = used(), shown = values.map((v, i) => (i < value("painted") ? v : 0));
    result = painted(shown, [SIDE, SIDE], kernel, sides, stride);
    const counts = painted(new Float32Array(SIDE * SIDE).fill(1), [SIDE, SIDE], kernel.map(() => 1), sides, stride), smooth = bilinear(stride[0]);
    const beside = painted(shown, [SIDE, SIDE], smooth.kernel, [smooth.side, smooth.side], [stride[0], stride[0]]);
    new Pixels(part("small"), SIDE, SIDE).paint((i) => ink(values[i], 1));
    picture(part("large"), result.out, result.shape);
    picture(part("counts"), counts.out, counts.shape);
    picture(part("bilinear"), beside.out, beside.shape);
    for (const [name, [rows, columns]] of [["small", [SIDE, SIDE]], ["large", result.shape], ["counts", counts.shape], ["bilinear", beside.shape]]) {
      part(`${name}-over`).setAttribute("viewBox", `0 0 ${columns} ${rows}`);
      part(`${name}-over`).setAttribute("preserveAspectRatio", "none");
      part(`${name}-over`).replaceChildren();
    }
    const [r, c] = look;
    for (const [name, box] of [["small", [r, c, 1, 1]], ["large", [r * stride[0], c * stride[1], ...sides]]])
      for (const layer_ of ["under", ""]) svg("rect", { y: box[0], x: box[1], height: box[2], width: box[3], class: `footprint ${layer_}` }, part(`${name}-over`));
    for (const name of ["size", "stride"]) {
      part(name).disabled = kind === "own" && Boolean(own);
      part(`${name}-name`).textContent = say(name, { value: (name === "size" ? sides : stride).join("×") });
    }
    part("painted-name").textContent = say("painted", { count: value("painted") });
    part("small-note").textContent = say("small_note", { row: r + 1, column: c + 1, value: number(values[r * SIDE + c], 2) });
    part("large-note").textContent = say("large_note", { rows: result.shape[0], columns: result.shape[1] });
    part("bilinear-note").textContent = say("bilinear_note", { side: smooth.side });
    const inner = [];
    for (let y = sides[0] - 1; y < counts.shape[0] - sides[0] + 1; y++) for (let x = sides[1] - 1; x < counts.shape[1] - sides[1] + 1; x++) inner.push(counts.out[y * counts.shape[1] + x]);
    const [least, most] = inner.length ? [Math.min(...inner), Math.max(...inner)] : [0, 0];
    part("counts-note").textContent = say("counts_note", { least: number(least), most: number(most) });
    const even = sides.every((side, d) => side % stride[d] === 0);
    part("overlap").textContent = say(even ? "even" : sides[0] < stride[0] ? "gaps" : "uneven", { size: sides.join("×"), stride: stride.join("×"), least: number(least), most: number(most), each: number(least) });
  }
  const later = eachFrame(show);
  const setInput = choice(place.querySelector("[data-choice=input]"), (name) => { values.set(values.map((_, i) => inputs[name](i))); later(); });
  const setKernel = choice(place.querySelector("[data-choice=kernel]"), (name) => { kind = name; if (name === "own") own ??= filter(0, 0); later(); });
  for (const name of ["size", "stride", "painted"]) part(name).addEventListener("input", later);
  cells(part("small"), SIDE, SIDE, {
    press: (r, c) => { drawing = values[r * SIDE + c] > 0.5 ? 0 : 1; },
    move: (r, c, down) => { look = [r, c]; if (down && drawing !== null) values[r * SIDE + c] = drawing; later(); },
  });
  const followed = (event) => {
    const { stride } = used(), box = part("large").getBoundingClientRect();
    look = [["clientY", "top", "height", 0], ["clientX", "left", "width", 1]].map(([at, start, size, d]) =>
      Math.min(Math.max(Math.floor((((event[at] - box[start]) / box[size]) * result.shape[d]) / stride[d]), 0), SIDE - 1));
    later();
  };
  part("large").addEventListener("pointermove", followed);
  part("large").addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (!step) return;
    look = look.map((at, d) => Math.min(Math.max(at + step[d], 0), SIDE - 1));
    later();
    event.preventDefault();
  });

  // the run's own layers
  function filter(i, o) {
    const { kernel: sides, stride, shown } = facts.layers[layer], length = sides[0] * sides[1], at = (i * shown[1] + o) * length;
    return { kernel: Array.from(arrays[`filters${layer}`].subarray(at, at + length)), sides, stride };
  }
  const response = (n, o) => {
    const { cells: sides, stride } = facts.layers[n], array = arrays[`kernels${n}`], [, high, wide] = array.shape;
    return painted(new Float32Array(sides[0] * sides[1]).fill(1), sides, array.subarray(o * high * wide, (o + 1) * high * wide), [high, wide], stride);
  };
  function showLayer() {
    const about = facts.layers[layer], [inputs_, outputs] = about.shown;
    part("filters").style.setProperty("--columns", outputs);
    part("filters").replaceChildren();
    for (let i = 0; i < inputs_; i++)
      for (let o = 0; o < outputs; o++) {
        const button = element("button", { class: "cell", "aria-label": say("filter", { from: i + 1, to: o + 1 }) }, part("filters"));
        const { kernel, sides } = filter(i, o);
        const most = arrays[`filters${layer}`].reduce((m, v) => Math.max(m, Math.abs(v)), 0);
        new Pixels(element("canvas", { class: "dots" }, button), sides[1], sides[0]).paint((at) => diverging(kernel[at], most));
        button.addEventListener("click", () => { own = filter(i, o); kind = "own"; setKernel("own"); show(); });
      }
    part("responses").replaceChildren();
    for (let o = 0; o < arrays[`kernels${layer}`].shape[0]; o++) {
      const { out, shape } = response(layer, o), low = Math.min(...out), high = Math.max(...out);
      const canvas = element("canvas", { class: "dots large", role: "img", "aria-label": say("response", { channel: o + 1 }) }, part("responses"));
      new Pixels(canvas, shape[1], shape[0]).paint((i) => ink(out[i] - low, high - low));
    }
    const sentences = [say("layer_about", { kernel: about.kernel.join("×"), stride: about.stride.join("×"), from: number(about.channels[0]), to: number(about.channels[1]) })];
    if (about.fixed) sentences.push(say("fixed"));
    if (about.from_bilinear !== null) sentences.push(say("from_bilinear", { share: percent(about.from_bilinear, 1) }));
    if (about.share !== null) sentences.push(say(about.divisible ? "wave_even" : "wave", { share: percent(about.share, 1) }));
    part("layer-note").textContent = sentences.join(" ");
  }
  choice(place.querySelector("[data-choice=layer]"), (n) => { layer = Number(n); own = null; if (kind === "own") own = filter(0, 0); showLayer(); later(); });
  setInput("edge");
  values.set(values.map((_, i) => inputs.edge(i)));
  showLayer();
  show();
  onChange(() => { show(); showLayer(); });
  return {
    values, used, get result() { return Array.from(result.out); },
    check: () => Math.max(...facts.layers.map((_, n) => {
      const truth = arrays[`response${n}`], [count, high, wide] = truth.shape;
      let off = 0, most = 1;
      for (let o = 0; o < count; o++) response(n, o).out.forEach((v, i) => { const right = truth[o * high * wide + i]; off = Math.max(off, Math.abs(v - right)); most = Math.max(most, Math.abs(right)); });
      return off / most;
    })),
  };
});
