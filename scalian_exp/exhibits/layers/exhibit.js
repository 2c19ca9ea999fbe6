import { generator } from "../frame/arrays.js";
import { input } from "../frame/input.js";
import { Pixels, choice, colour, eachFrame, element, exhibit, mix, number, onChange, percent, ramp, svg } from "../frame/kit.js";

const HALVES = ["none", "upper", "lower", "left", "right"], WIDE = 360, HIGH = 130, NAME = 110;

exhibit("layers", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const images = blocks[facts.images], { arrays } = blocks[facts.journey], { layers, live } = facts, count = layers.length;
  const [channels, height, width] = images.shape, size = height * width, length = channels * size, program = blocks[facts.stack]?.program;
  const damaged = new Float32Array(length), codes = layers.map((units) => new Float32Array(units)), outputs = layers.map(() => new Float32Array(length));
  let clean = null, half = "none", noise = Number(part("noise").value), seed = 1;

  // the stack: up through all layers, and down again from each
  const each = live ? program.outputs.length / (2 * count) : 0; // outputs of one way: total inputs where there are such, and means
  const ups = live ? layers.map((_, k) => program.part([2 * k], [2 * k * each + each - 1])) : [];
  const downs = live ? layers.map((_, k) => program.part([2 * k + 1], [(2 * k + 1) * each + each - 1])) : [];
  const below = (k) => (k ? layers[k - 1] : length);
  function compute() {
    let states = damaged.map((value, i) => (value - arrays.pixel_mean[i]) / arrays.pixel_scale[i]);
    for (let k = 0; k < count; k++) {
      const taken = program.registers[2 * k].length; // more than there are below, where labels, unknown here, are units too
      const all = new Float32Array(taken).fill(1 / Math.max(1, taken - states.length));
      all.set(states);
      codes[k].set(ups[k](all)[0]);
      states = codes[k];
      let down = states;
      for (let j = k; j >= 0; j--) down = downs[j](down)[0].subarray(0, below(j));
      outputs[k].set(down.map((value, i) => Math.min(Math.max(value * arrays.pixel_scale[i] + arrays.pixel_mean[i], 0), 1)));
    }
  }
  /** What was computed beforehand of one of the test images. */
  function look() {
    const n = Array.from({ length: facts.count }, (_, image) => image).find((image) => clean.every((value, i) => Math.abs(value * 255 - images.arrays.images[image * length + i]) < 0.5)) ?? 0;
    const row = (noise * HALVES.length + HALVES.indexOf(half)) * facts.count + n, units = layers.reduce((a, b) => a + b, 0);
    damaged.set(Array.from(arrays.damaged.subarray(row * length, (row + 1) * length), (value) => value / 255));
    let at = row * units;
    layers.forEach((width_, k) => {
      for (let j = 0; j < width_; j++) codes[k][j] = (arrays.codes[at++] / 127) * arrays.largest[k];
      for (let i = 0; i < length; i++) outputs[k][i] = arrays.outputs[(row * count + k) * length + i] / 255;
    });
  }
  function damage() {
    const random = generator(seed), share = facts.noise[noise];
    for (let i = 0; i < length; i++) {
      const hit = random.next() < share, value = random.next() < 0.5 ? 0 : 1, row = ((i % size) / width) | 0, column = i % width;
      const gone = { upper: row < height >> 1, lower: row >= height >> 1, left: column < width >> 1, right: column >= width >> 1 }[half];
      damaged[i] = gone ? facts.ground : hit ? value : clean[i];
    }
  }

  // what is seen: each layer's activities as a map, the image below it, and errors
  const picture = new Pixels(part("damaged"), width, height);
  const floors = layers.map((units) => {
    const floor = element("div", {}, part("floors")), title = element("h4", {}, floor), pair = element("div", { class: "floor-pair" }, floor);
    const wide = Math.ceil(Math.sqrt(units)), left = element("div", {}, pair), right = element("div", {}, pair);
    const map = new Pixels(element("canvas", { class: "dots", role: "img" }, left), wide, Math.ceil(units / wide));
    const active = element("p", { class: "small" }, left);
    const made = new Pixels(element("canvas", { class: "dots", role: "img" }, right), width, height);
    return { title, map, active, made, error: element("p", { class: "small" }, right) };
  });
  function showMap(k) {
    const { map } = floors[k], values = codes[k], heat = ramp(["paper", "map-1", "map-2", "map-3"]), paper = colour("paper"), outside = colour("card");
    map.paint((i) => {
      if (i >= values.length) return outside;
      if (facts.within[k]) return heat(values[i]);
      return mix(paper, colour(values[i] > 0 ? "more" : "less"), Math.min(1, Math.abs(values[i]) / facts.largest[k]));
    });
  }
  const distance = (x) => x.reduce((sum, value, i) => sum + (value - clean[i]) ** 2, 0);
  const chart = part("errors");
  function showErrors(errors) {
    chart.replaceChildren();
    const most = Math.max(...errors, ...facts.errors, 1e-6), scale = (WIDE - NAME - 70) / most;
    errors.forEach((error, k) => {
      const y = 8 + 34 * k;
      svg("text", { x: 8, y: y + 17 }, chart).textContent = k ? say("from_layer", { layer: k }) : say("given");
      svg("rect", { x: NAME, y, width: Math.max(1, error * scale), height: 24, class: k ? "error" : "error damaged" }, chart);
      svg("text", { x: WIDE - 8, y: y + 17, class: "value" }, chart).textContent = number(error, 1);
      if (k) svg("path", { d: `M${NAME + facts.errors[k - 1] * scale} ${y - 3}v30` }, chart);
    });
    const best = errors.indexOf(Math.min(...errors));
    part("nearest").textContent = say(best ? "nearest" : "nearest_given", { layer: best });
  }
  function show() {
    picture.show(damaged, images);
    part("share").textContent = percent(facts.noise[noise]);
    const errors = [damaged, ...outputs].map(distance);
    floors.forEach(({ title, map, active, made, error }, k) => {
      title.textContent = say("layer", { layer: k + 1, units: number(layers[k]) });
      showMap(k);
      made.show(outputs[k], images);
      const on = codes[k].reduce((sum, value) => sum + (value > 0.5 ? 1 : 0), 0);
      active.textContent = say(facts.within[k] ? "active" : "values", { active: number(on), units: number(layers[k]), largest: number(facts.largest[k], 1) });
      error.textContent = say("error", { error: number(errors[k + 1], 1) });
      map.canvas.setAttribute("aria-label", say("map", { layer: k + 1 }));
      made.canvas.setAttribute("aria-label", say("made", { layer: k + 1 }));
    });
    showErrors(errors);
  }
  function change() {
    if (live) { damage(); compute(); } else look();
    show();
  }
  const later = eachFrame(change);

  // how the training of each layer went
  function showStages() {
    if (!facts.stages) return;
    part("stages").replaceChildren();
    facts.stages.points.forEach((points, k) => {
      const floor = element("div", {}, part("stages")), name = say(facts.stages.metric);
      element("p", { class: "small", text: say("stage", { layer: k + 1, metric: name }) }, floor);
      const curve = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, class: "stage-curve", role: "img", "aria-label": say("stage", { layer: k + 1, metric: name }) }, floor);
      const values = points.map(([, value]) => value), low = Math.min(...values), high = Math.max(...values), first = points[0]?.[0] ?? 0, last = points.at(-1)?.[0] ?? 0;
      const x = (epoch) => 70 + (last > first ? ((epoch - first) / (last - first)) * (WIDE - 90) : (WIDE - 90) / 2), y = (value) => (high > low ? 14 + ((high - value) / (high - low)) * (HIGH - 50) : HIGH / 2 - 10);
      svg("path", { d: `M62 8V${HIGH - 26}H${WIDE - 10}`, class: "axis" }, curve);
      svg("path", { d: points.map(([epoch, value], n) => `${n ? "L" : "M"}${x(epoch)} ${y(value)}`).join(""), class: "curve" }, curve);
      for (const [epoch, value] of points) svg("circle", { cx: x(epoch), cy: y(value), r: 3 }, curve);
      for (const value of new Set([low, high])) svg("text", { x: 56, y: y(value) + 4, class: "low" }, curve).textContent = number(value, Math.abs(value) < 10 ? 2 : 0);
      for (const epoch of new Set([first, last])) svg("text", { x: epoch > first ? WIDE - 8 : x(epoch), y: HIGH - 8, "text-anchor": epoch > first ? "end" : "middle" }, curve).textContent = say("epoch", { epoch: number(epoch) });
    });
  }

  place.classList.toggle("stored", !live);
  input(part("input"), live ? images : { ...images, count: facts.count }, (values) => { clean = values; change(); });
  if (!live) part("input").querySelector("canvas.draws").removeAttribute("tabindex");
  part("noise").addEventListener("input", () => { noise = Number(part("noise").value); later(); });
  place.querySelector("[data-do=again]")?.addEventListener("click", () => { seed++; change(); });
  choice(place.querySelector("[data-choice=half]"), (value) => { half = value; change(); });
  showStages();
  onChange(() => { show(); showStages(); });
  return { damaged, codes, outputs, get clean() { return clean; } };
});
