import { Pixels, cells, choice, colour, eachFrame, element, exhibit, loop, mix, number, onChange, ramp, still, svg } from "../frame/kit.js";
import { Live, Made } from "./sources.js";

const SPEEDS = { live: [1, 4, 12, 40, 200], made: [0.1, 0.25, 0.5, 1, 3] }; // turns a frame
const WIDE = 300;

exhibit("pixels", (place, { blocks, facts, say }) => {
  const [channels, height, width] = facts.shape, size = height * width, { live, ink } = facts, HIGH = channels * (live && facts.levels > 2 ? 40 : 18);
  const part = (name) => place.querySelector(`[data-part=${name}]`), block = blocks[facts.block], { images, labels } = blocks[facts.images].arrays;
  const source = live ? new Live(block.arrays, facts, block) : new Made(block.arrays, facts, block);
  const image = new Float32Array(size * channels), whole = new Float32Array(size * channels), known = new Uint8Array(size).fill(1);
  let tool = "erase", mask = "bottom", number_ = 0, chosen = 0, look = [height >> 1, width >> 1], view = "expected", changed = false, due = 0, rest = 0;
  place.style.setProperty("--aspect", `${width} / ${height}`);
  part("odds").setAttribute("viewBox", `0 0 ${WIDE} ${HIGH}`);
  for (const over of place.querySelectorAll(".over")) over.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const pictures = Object.fromEntries(["input", "map", "field"].map((name) => [name, new Pixels(part(name), width, height)]));
  const copies = source.copies.map((_, n) => {
    const button = element("button", { class: "cell" }, part("completions")), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
    button.addEventListener("click", () => { chosen = n; show(); });
    return { button, picture };
  });

  // colours: ink that was given is black on paper; what the network drew has the colour of its inventions
  const plain = (values, p) => {
    if (channels === 3) return [0, 1, 2].map((c) => 255 * values[3 * p + c]);
    return ink ? mix(colour("paper"), colour("ink-dot"), values[p]) : new Array(3).fill(255 * values[p]);
  };
  const invented = (values, p) => {
    if (channels === 3) return plain(values, p);
    return ink ? mix(mix(colour("paper"), colour("invented"), 0.13), colour("invented"), values[p]) : mix([0, 0, 0], mix(colour("invented"), [255, 255, 255], 0.35), values[p]);
  };
  const hatch = (p) => colour((((p / width) | 0) + (p % width)) % 2 ? "erased" : "erased-too");
  const showInput = () => pictures.input.paint((p) => (known[p] ? plain(image, p) : hatch(p)));
  function showCopies() {
    copies.forEach(({ button, picture }, n) => {
      const { x } = source.copies[n];
      picture.paint((p) => (known[p] ? plain(live ? image : x, p) : source.shown(p) ? invented(x, p) : hatch(p)));
      button.classList.toggle("chosen", n === chosen);
      button.setAttribute("aria-pressed", n === chosen);
      button.setAttribute("aria-label", say("completion", { number: n + 1 }));
    });
  }
  const bitsOf = (nats, p) => { let sum = 0; for (let c = 0; c < channels; c++) sum += nats[p * channels + c]; return sum / Math.LN2; };
  function showMap() {
    const { expected, nats } = source.copies[chosen], asImage = view === "expected" && !(ink && channels === 1);
    const shade = ramp(["paper", ...[1, 2, 3].map((n) => `${view === "bits" ? "loss" : "map"}-${n}`)]);
    let most = facts.levels === 2 ? 4 : 0.1;
    if (view === "bits" && facts.levels > 2) for (let p = 0; p < size; p++) if (source.shown(p)) most = Math.max(most, bitsOf(nats, p));
    pictures.map.paint((p) => {
      if (!source.shown(p)) return hatch(p);
      if (view === "bits") return shade(bitsOf(nats, p) / most);
      return asImage ? plain(expected, p) : shade(expected[p]);
    });
    part("map-name").textContent = say(view === "bits" ? "map_bits" : facts.levels === 2 && channels === 1 ? "map_ink" : "map_mean");
    part("map-scale").hidden = asImage;
    part("map-scale").querySelector(".ramp").className = `ramp ${view === "bits" ? "loss-ramp" : "probability"}`;
    part("least").textContent = number(0);
    part("most").textContent = view === "bits" ? say("bits", { bits: `${facts.levels === 2 ? "≥ " : ""}${number(most, most < 10 && most % 1 ? 1 : 0)}` }) : number(1);
  }
  function showField() {
    const { row, column, field, influence } = source.dependence(chosen, ...look), p = row * width + column, { x } = source.copies[chosen];
    const here = place.querySelector(".field .here");
    here.setAttribute("x", column); here.setAttribute("y", row);
    let most = 1e-12, seen = 0, unseen = "", before = 0;
    for (let i = 0; i < size; i++) {
      if (influence) most = Math.max(most, Math.abs(influence[i]));
      seen += field[i];
      if (!source.earlier(i, p)) continue;
      before++;
      if (!field[i]) unseen += `M${i % width} ${((i / width) | 0) + 1}l1 -1`;
    }
    const paper = colour("paper"), text = colour("text"), more = colour("more"), less = colour("less"), values = live ? x : whole;
    pictures.field.paint((i) => {
      const mean = Array.from({ length: channels }, (_, c) => values[i * channels + c]).reduce((a, b) => a + b) / channels;
      const ground = mix(paper, text, 0.35 * (live && !source.shown(i) ? 0 : ink ? mean : 1 - mean));
      if (!field[i]) return source.earlier(i, p) ? ground : mix(ground, colour("erased"), 0.85);
      return influence ? mix(ground, influence[i] > 0 ? more : less, Math.min(1, Math.sqrt(Math.abs(influence[i]) / most))) : ground;
    });
    place.querySelector(".unseen").setAttribute("d", unseen);
    part("seen").textContent = say(live ? "seen" : "seen_made", { seen: number(seen), before: number(before), row: row + 1, column: column + 1 });
  }
  function showPixel() {
    const [row, column] = look, p = row * width + column, { x, expected, nats } = source.copies[chosen], ready = source.shown(p);
    const here = place.querySelector(".map .here");
    here.setAttribute("x", column); here.setAttribute("y", row);
    part("odds").replaceChildren();
    if (ready) for (let c = 0; c < channels; c++) { // bars of the values' probabilities, or of the expected value alone
      const odds = (live && source.odds(chosen, p, c)) || [1 - expected[p * channels + c], expected[p * channels + c]], tall = HIGH / channels, most = Math.max(...odds);
      const level = Math.round(x[p * channels + c] * (facts.levels - 1)), two = odds.length === 2;
      odds.forEach((odd, n) => {
        if (two && n === 0) return;
        const bar = two ? { x: 0, width: WIDE * odd, y: c * tall, height: tall - 1 } : { x: (n * WIDE) / odds.length, width: (0.9 * WIDE) / odds.length, y: (c + 1) * tall - ((tall - 3) * odd) / most, height: ((tall - 3) * odd) / most };
        svg("rect", { ...bar, class: `odd${!two && n === level ? " taken" : ""}` }, part("odds"));
      });
    }
    const list = (values, digits) => Array.from({ length: channels }, (_, c) => number(values[p * channels + c], digits)).join(" · ");
    const what = facts.levels === 2 && channels === 1 ? say(x[p] ? "is_ink" : "is_paper") : list(x, 2);
    part("pixel").textContent = !ready ? say("not_yet") : say(facts.levels === 2 && channels === 1 ? "told_ink" : "told_mean", {
      row: row + 1, column: column + 1, expected: list(expected, facts.levels === 2 ? 3 : 2), how: say(known[p] ? "given" : "drawn"), what, bits: number(bitsOf(nats, p), 2),
    });
    const cost = [0, 0];
    let finished = true;
    for (let i = 0; i < size; i++) { cost[known[i]] += bitsOf(nats, i); finished &&= source.shown(i); }
    part("price").textContent = finished ? say("price", { all: number(cost[0] + cost[1], 0), given: number(cost[1], 0), drawn: number(cost[0], 0) }) : "";
  }
  function show() { showInput(); showCopies(); showMap(); showField(); showPixel(); }
  const point = eachFrame((row, column) => { look = [row, column]; showField(); showPixel(); });

  const clock = loop(place, () => {
    due += SPEEDS[live ? "live" : "made"][part("speed").value];
    const turns = due | 0;
    if (!turns) return;
    due -= turns;
    source.advance(turns);
    look = [(source.newest / width) | 0, source.newest % width];
    if (source.at >= source.turns) { clock.stop(); hardest(); }
    showCopies(); showMap(); showPixel();
    const began = performance.now(); // what a pixel depended on takes a quarter of the time at most
    if (clock.on && began < rest) return;
    showField();
    rest = performance.now() + 3 * (performance.now() - began);
  });
  /** Looks at the pixel that was the hardest to guess, among those drawn if there are any. */
  function hardest() {
    const { nats } = source.copies[chosen], drawn = known.some((value) => !value);
    let most = -1;
    for (let p = 0; p < size; p++)
      if (!(drawn && known[p]) && bitsOf(nats, p) > most) { most = bitsOf(nats, p); look = [(p / width) | 0, p % width]; }
  }
  let runs = 0;
  const halt = () => { clock.stop(); runs++; };
  /** Completes anew: at once, or as soon as the page stays responsive, or for readers to watch. */
  function run({ noise, atOnce = still() || known.every(Boolean), soon = false } = {}) {
    halt();
    source.begin({ image, known, noise, number: number_, mask });
    due = 0;
    const own = runs;
    /** Goes on for some milliseconds of a frame. */
    function slice() {
      if (own !== runs) return;
      source.advance(Infinity, performance.now() + 12);
      if (source.at < source.turns) { requestAnimationFrame(slice); showCopies(); } else { hardest(); show(); }
    }
    if (!atOnce && soon) { slice(); return; }
    if (!atOnce) { showInput(); clock.start(); return; }
    source.advance(Infinity);
    hardest();
    show();
  }
  const masks = {
    bottom: (r) => r >= Math.floor(height / 2), top: (r) => r < Math.floor(height / 2), all: () => true, none: () => false,
    centre: (r, c) => r >= Math.floor(height / 4) && r < height - Math.floor(height / 4) && c >= Math.floor(width / 4) && c < width - Math.floor(width / 4),
  };
  const setMask = choice(place.querySelector("[data-choice=mask]"), (value) => erase(value));
  function erase(which, options) {
    mask = which;
    setMask(which);
    image.set(whole);
    for (let p = 0; p < size; p++) known[p] = masks[which]((p / width) | 0, p % width) ? 0 : 1;
    run(options);
  }
  function brush(row, column) {
    const radius = tool === "erase" ? Math.max(1, 0.08 * Math.min(height, width)) : Math.max(0.6, 0.04 * Math.min(height, width));
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++) {
        const p = r * width + c;
        if ((r - row) ** 2 + (c - column) ** 2 > radius ** 2) continue;
        known[p] = tool === "erase" ? 0 : 1;
        if (tool === "write") for (let k = 0; k < channels; k++) image[p * channels + k] = ink ? 1 : whole[p * channels + k];
        changed = true;
      }
    setMask(""); // no mask any more, but the group can still be reached
    place.querySelector("[data-choice=mask] button").tabIndex = 0;
    showInput();
  }
  const input = part("input"), finish = () => { if (changed) { changed = false; run(); } };
  cells(input, height, width, { move: (row, column, pressed) => { if (pressed && live) { halt(); brush(row, column); } else if (!clock.on) point(row, column); } });
  input.addEventListener("pointerup", finish);
  input.addEventListener("keyup", (event) => { if (event.key === "Enter" || event.key === " ") finish(); });
  for (const name of ["map", "field"]) cells(part(name), height, width, { move: (row, column) => { if (!clock.on) point(row, column); } });

  const thumbs = facts.chosen.map((at, n) => {
    const button = element("button", { class: "thumb" }, part("thumbs")), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
    const own = Float32Array.from({ length: size * channels }, (_, i) => Math.round((images[at * size * channels + (i % channels) * size + ((i / channels) | 0)] / 255) * (facts.levels - 1)) / (facts.levels - 1));
    button.addEventListener("click", () => take(n));
    return { button, own, draw: () => { picture.paint((p) => plain(own, p)); button.setAttribute("aria-label", say("image", { number: n + 1, name: blocks[facts.images].names[labels[at]] ?? "" })); } };
  });
  function take(n, options) {
    number_ = n;
    whole.set(thumbs[n].own);
    thumbs.forEach(({ button }, other) => button.setAttribute("aria-pressed", n === other));
    erase(["none", "all"].includes(mask) ? "bottom" : mask, options);
  }
  place.querySelector("[data-do=run]").addEventListener("click", () => run());
  choice(place.querySelector("[data-choice=map]"), (value) => { view = value; showMap(); });
  const heat = part("temperature"), tellHeat = () => { if (heat) part("degrees").textContent = number(Number(heat.value), 1); };
  if (live) {
    choice(place.querySelector("[data-choice=tool]"), (value) => { tool = value; });
    heat.addEventListener("input", tellHeat);
    heat.addEventListener("change", () => { source.temperature = Number(heat.value); run(); });
  }
  const label = () => { thumbs.forEach(({ draw }) => draw()); tellHeat(); show(); };
  take(0, { soon: true }); // a first answer: the page says something before anybody touches it
  onChange(label);
  label();
  return {
    source, known, image, run, erase, take,
    get look() { return look; },
    get finished() { return source.at >= source.turns; },
    check: live ? () => source.check() : undefined,
  };
});
