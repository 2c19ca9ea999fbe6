import { Pixels, choice, colour, element, exhibit, loop, mix, number, onChange, still, svg } from "../frame/kit.js";

const WIDE = 400, HIGH = 200, FOOT = 20, TOP = 8, FILM = 12, SECONDS = 8;

exhibit("drawing", (place, { blocks, facts, say }) => {
  const { arrays } = blocks[facts.block], images = blocks[facts.images], { steps } = facts, [channels, height, width] = images.shape, size = channels * height * width;
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  let kind = "copied", chosen = 0, step = steps, began = 0;
  place.style.setProperty("--aspect", `${width} / ${height}`);
  for (const over of place.querySelectorAll(".over")) over.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const pictures = Object.fromEntries(["given", "canvas", "change"].map((name) => [name, new Pixels(part(name), width, height)]));
  const originals = facts.chosen.map((at) => Float32Array.from(images.arrays.images.subarray(at * size, (at + 1) * size), (v) => v / 255));
  /** The canvas after a step; step 0 is where it starts. */
  const canvas = (at, of = chosen, from = kind) => {
    const start = (of * (steps + 1) + at) * size;
    return Float32Array.from(arrays[from].subarray(start, start + size), (v) => v / 255);
  };
  const box = (name) => {
    const all = arrays[`${kind}.${name}`], start = 4 * (chosen * steps + step - 1);
    return all && step ? Array.from(all.subarray(start, start + 4)) : null;
  };
  const distance = (x, y) => x.reduce((sum, value, i) => sum + (value - y[i]) ** 2, 0);
  const klOf = (at) => arrays.kl[chosen * steps + at];

  // bars of the KL of each step: grey for the mean, violet for the chosen image
  let most = 1e-6;
  for (const values of [arrays.kl, arrays.kl_mean]) for (const value of values) most = Math.max(most, value);
  const across = WIDE / steps, tall = (value) => ((HIGH - FOOT - TOP) * value) / most;
  const bars = Array.from({ length: steps }, (_, at) => {
    const x = at * across;
    svg("rect", { x: x + 0.06 * across, width: 0.88 * across, y: HIGH - FOOT - tall(arrays.kl_mean[at]), height: tall(arrays.kl_mean[at]), class: "mean" }, part("kl"));
    return svg("rect", { x: x + 0.26 * across, width: 0.48 * across, class: "own" }, part("kl"));
  });
  const frame = svg("rect", { y: 1, height: HIGH - 2, width: across, class: "now" }, part("kl"));
  const every = Math.ceil(steps / 10);
  for (let at = 0; at < steps; at += every) svg("text", { x: (at + 0.5) * across, y: HIGH - 5, "text-anchor": "middle" }, part("kl")).textContent = at + 1;

  const film = Array.from({ length: Math.min(FILM, steps) }, (_, n, count = Math.min(FILM, steps)) => {
    const at = count === 1 ? steps : Math.round(1 + (n * (steps - 1)) / (count - 1));
    const button = element("button", { class: "cell" }, part("film")), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
    button.addEventListener("click", () => { clock.stop(); go(at); });
    return { at, button, picture };
  });
  const thumbs = facts.chosen.map((_, n) => {
    const button = element("button", { class: "thumb" }, part("thumbs")), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
    button.addEventListener("click", () => { chosen = n; showAll(); });
    return { button, picture };
  });

  function outline(name, boxes) {
    for (const target of place.querySelectorAll(`.window.${name}`)) {
      target.style.display = boxes ? "" : "none";
      if (boxes) ["x", "y"].forEach((key, d) => { target.setAttribute(key, boxes[d]); target.setAttribute(["width", "height"][d], Math.max(boxes[d + 2] - boxes[d], 0.01)); });
    }
  }
  function show() {
    const copied = kind === "copied", now = canvas(step), before = canvas(Math.max(step - 1, 0)), given = copied ? originals[chosen] : canvas(steps);
    pictures.given.show(given, images);
    pictures.canvas.show(now, images);
    const paper = colour("paper"), more = colour("more"), less = colour("less"), area = height * width;
    const change = Array.from({ length: area }, (_, p) => { let sum = 0; for (let c = 0; c < channels; c++) sum += now[c * area + p] - before[c * area + p]; return sum / channels; });
    pictures.change.paint((p) => mix(paper, change[p] > 0 ? more : less, Math.min(1, Math.sqrt(Math.abs(change[p])))));
    const read = copied ? box("read") : null, write = box("write");
    outline("read", read);
    outline("write", write);
    part("given-name").textContent = say(copied ? "name_image" : "name_last");
    part("read-name").textContent = !copied ? say("reads_nothing") : step === 0 ? "" : read ? say("reads") : say("reads_all");
    part("write-name").textContent = step === 0 ? say("blank") : write ? say("writes") : say("writes_all");
    part("step").value = step;
    part("step-value").textContent = `${number(step)} / ${number(steps)}`;
    bars.forEach((bar, at) => {
      const high = copied ? tall(klOf(at)) : 0;
      bar.setAttribute("y", HIGH - FOOT - high);
      bar.setAttribute("height", high);
      bar.style.opacity = at < step ? 1 : 0.3;
    });
    frame.setAttribute("x", (Math.max(step, 1) - 1) * across);
    frame.style.display = step ? "" : "none";
    let sofar = 0, all = 0;
    for (let at = 0; at < steps; at++) { all += klOf(at); if (at < step) sofar += klOf(at); }
    part("told").textContent = !copied ? say("told_new", { step }) : say(step ? "told" : "told_start", {
      step, kl: number(step ? klOf(step - 1) : 0, 2), sofar: number(sofar, 1), all: number(all, 1), error: number(distance(now, given), 1),
    });
    film.forEach(({ at, button }) => { button.classList.toggle("chosen", at === step); button.setAttribute("aria-pressed", at === step); });
    const playing = clock.on;
    part("play").textContent = say(playing ? "pause" : "play");
  }
  function showAll() {
    film.forEach(({ at, button, picture }) => { picture.show(canvas(at), images); button.setAttribute("aria-label", say("after", { step: at })); });
    thumbs.forEach(({ button, picture }, n) => {
      picture.show(kind === "copied" ? originals[n] : canvas(steps, n), images);
      button.setAttribute("aria-pressed", n === chosen);
      button.setAttribute("aria-label", say(kind === "copied" ? "image" : "sample", { number: n + 1, name: kind === "copied" ? images.names[images.arrays.labels[facts.chosen[n]]] ?? "" : "" }));
    });
    part("scale").textContent = say("scale", { most: number(most, 1) });
    show();
  }
  const go = (to) => { step = Math.min(Math.max(to, 0), steps); show(); };
  const clock = loop(place, () => {
    const at = Math.floor(((performance.now() - began) / 1000) * Math.max(2, steps / SECONDS));
    if (at >= steps) clock.stop();
    if (at !== step) go(at);
  });
  place.querySelector("[data-do=play]").addEventListener("click", () => {
    if (clock.on) { clock.stop(); show(); return; }
    if (still()) { go(step === steps ? 0 : step + 1); return; } // a step at a time
    if (step === steps) step = 0;
    began = performance.now() - (1000 * step) / Math.max(2, steps / SECONDS);
    clock.start();
    show();
  });
  part("step").addEventListener("input", () => { clock.stop(); go(Number(part("step").value)); });
  choice(place.querySelector("[data-choice=kind]"), (value) => { kind = value; showAll(); });
  const bar = part("kl"), pointed = (event) => {
    const { left, width: wide } = bar.getBoundingClientRect();
    clock.stop();
    go(1 + Math.min(Math.max(Math.floor(((event.clientX - left) / wide) * steps), 0), steps - 1));
  };
  bar.addEventListener("pointerdown", (event) => { bar.setPointerCapture(event.pointerId); pointed(event); });
  bar.addEventListener("pointermove", (event) => { if (event.buttons) pointed(event); });
  bar.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!by) return;
    clock.stop();
    go(step + by);
    event.preventDefault();
  });
  onChange(showAll);
  go(Math.ceil(steps / 2)); // half-way: both windows and a canvas to be finished are seen
  showAll();
  return { canvas, box, go, klOf, get step() { return step; }, get playing() { return clock.on; } };
});
