import { Pixels, cells, choice, colour, element, exhibit, loop, mix, number, onChange, percent, still, svg } from "../frame/kit.js";
import { Chain, draw } from "./chain.js";

const SPEEDS = [0.15, 0.5, 1, 4, 20], KEPT = 240, BURNED = 600, ROOM = { left: 52, right: 8, top: 8, bottom: 8, width: 360, height: 150 };

exhibit("gibbs", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`), one = (name) => place.querySelector(`[data-do=${name}]`);
  const { images, machine, stack } = Object.fromEntries(["images", "machine", "stack"].map((name) => [name, blocks[facts[name]]]));
  const [channels, height, width] = images.shape, size = height * width, { arrays } = machine, { grid, shown: units } = facts;
  const chain = new Chain(stack, machine, facts), binary = facts.units.hidden === "bernoulli", energies = [];
  const tile = [width + 2, height + 2];
  let tool = "1", view = "means", whole = false, unit = 0, credit = 0, steps = 0;

  const picture = new Pixels(part("visible"), width, height), large = new Pixels(part("filter"), width, height);
  const board = part("hidden"), context = board.getContext("2d");
  [board.width, board.height] = tile.map((side) => side * grid);

  const shade = (level) => mix(colour("paper"), colour(level > 0 ? "more" : "less"), Math.abs(level) / 127);
  const weightAt = (n, i, channel = 0) => arrays.filters[(n * channels + channel) * size + i];
  /** A filter's colour at a pixel: for and against as two hues, or the colours that it adds to grey. */
  const filterColour = (n, i) => (channels === 3 ? [0, 1, 2].map((c) => 128 + weightAt(n, i, c)) : shade(weightAt(n, i)));
  /** All filters, bright and faint, drawn once a theme. */
  let sheets = [];
  function drawSheets() {
    sheets = [0, 1].map(() => element("canvas", { width: board.width, height: board.height }));
    const [bright, faint] = sheets.map((sheet) => sheet.getContext("2d")), image = bright.createImageData(width, height), { data } = image;
    const shades = Array.from({ length: 255 }, (_, n) => shade(n - 127)), corner = (n) => [(n % grid) * tile[0] + 1, ((n / grid) | 0) * tile[1] + 1];
    data.fill(255);
    faint.fillStyle = `rgb(${colour("paper")})`;
    for (let n = 0; n < units; n++) {
      for (let i = 0; i < size; i++) {
        const made = channels === 3 ? filterColour(n, i) : shades[weightAt(n, i) + 127];
        for (let c = 0; c < 3; c++) data[4 * i + c] = made[c];
      }
      bright.putImageData(image, ...corner(n));
      faint.fillRect(...corner(n), width, height);
    }
    faint.globalAlpha = 0.22;
    faint.drawImage(sheets[0], 0, 0);
  }

  const follow = () => { energies.push(chain.energy); if (energies.length > KEPT) energies.shift(); };
  const step = () => { chain.step(); steps++; follow(); };
  function restart() { energies.length = steps = 0; chain.restart(); follow(); }

  function showVisible() {
    const values = (view === "means" ? chain.means : chain.states).map((value, i) => chain.toPixel(value, i));
    if (!images.ink) { picture.show(values, images); return; }
    const paper = colour("paper"), ink = colour("ink-dot"), made = colour("invented");
    picture.paint((i) => (Number.isNaN(chain.held[i]) ? mix(paper, made, values[i]) : mix(paper, ink, chain.held[i])));
  }
  function showHeld() {
    const paths = ["", ""];
    for (let i = 0; i < size; i++) if (!Number.isNaN(chain.held[i])) paths[chain.held[i] > 0.5 ? 0 : 1] += `M${(i % width) + 0.5} ${((i / width) | 0) + 0.5}h0`;
    paths.forEach((path, n) => place.querySelector([".held-on", ".held-off"][n]).setAttribute("d", path));
  }
  function showHidden() {
    context.clearRect(0, 0, board.width, board.height);
    context.drawImage(sheets[1], 0, 0);
    context.strokeStyle = getComputedStyle(document.documentElement).getPropertyValue("--invented");
    context.lineWidth = Math.max(1, Math.round(tile[0] / 24));
    for (let n = 0; n < units; n++) {
      const strength = binary ? chain.h[arrays.kept[n]] : Math.min(1, Math.abs(chain.h[arrays.kept[n]]) / 3);
      if (!strength) continue;
      const x = (n % grid) * tile[0], y = ((n / grid) | 0) * tile[1];
      context.globalAlpha = strength;
      context.drawImage(sheets[0], x, y, ...tile, x, y, ...tile);
      context.strokeRect(x + 0.5, y + 0.5, tile[0] - 1, tile[1] - 1);
    }
    context.globalAlpha = 1;
    const active = chain.h.reduce((sum, state) => sum + state, 0), all = chain.h.length;
    part("active").textContent = say(binary ? "active" : "values", { active: number(active), all: number(all), usual: number(facts.active), steps: number(steps) });
  }
  function showReading() {
    const j = arrays.kept[unit], p = chain.on[j], share = arrays.activity[j];
    part("unit").textContent = say(binary ? "unit" : "unit_value", { p: number(p, 2), share: binary ? percent(share) : number(share, 2) });
  }
  const bests = Array.from({ length: facts.best }, () => new Pixels(element("canvas", { class: "dots thumb", "aria-hidden": "true" }, part("best")), width, height));
  function showUnit() {
    const chosen = place.querySelector(".chosen-unit");
    chosen.setAttribute("x", unit % grid);
    chosen.setAttribute("y", (unit / grid) | 0);
    part("unit-name").textContent = say("unit_name", { unit: arrays.kept[unit] + 1 });
    large.paint((i) => filterColour(unit, i));
    bests.forEach((best, n) => {
      const at = arrays.best[unit * facts.best + n] * channels * size;
      best.show(Array.from(arrays.pool.subarray(at, at + channels * size), (value) => value / 255), images);
    });
    showReading();
  }

  const chart = part("energy"), { low, middle, high, noise } = facts.energy, lines = {}, spread = Math.max(high - low, 1);
  const bottom = low - 0.6 * spread, top = high + 1.6 * spread;
  const toX = (n) => ROOM.left + (n / (KEPT - 1)) * (ROOM.width - ROOM.left - ROOM.right);
  const toY = (energy) => ROOM.top + ((top - Math.min(Math.max(energy, bottom), top)) / (top - bottom)) * (ROOM.height - ROOM.top - ROOM.bottom);
  function drawChart() {
    chart.replaceChildren();
    svg("rect", { x: ROOM.left, width: ROOM.width - ROOM.left - ROOM.right, y: toY(high), height: toY(low) - toY(high), class: "band" }, chart);
    const marked = [low, middle, high].filter((energy) => energy !== middle || Math.min(toY(low) - toY(middle), toY(middle) - toY(high)) > 14); // none over another
    for (const energy of marked) svg("text", { x: ROOM.left - 6, y: toY(energy) + 4, class: "tick" }, chart).textContent = number(energy);
    svg("path", { d: `M${ROOM.left} ${toY(middle)}H${ROOM.width - ROOM.right}`, class: "middle" }, chart);
    svg("text", { x: ROOM.width - ROOM.right - 6, y: toY(low) + 15, class: "band-name" }, chart).textContent = say("band");
    lines.chain = svg("path", { class: "chain" }, chart);
    lines.now = svg("circle", { r: 3.5, class: "now" }, chart);
  }
  function showEnergy() {
    lines.chain.setAttribute("d", energies.map((energy, n) => `${n ? "L" : "M"}${toX(n).toFixed(1)} ${toY(energy).toFixed(1)}`).join(""));
    lines.now.setAttribute("cx", toX(energies.length - 1));
    lines.now.setAttribute("cy", toY(energies.at(-1)));
    part("energy-note").textContent = say("energy_note", { now: number(energies.at(-1)), low: number(low), high: number(high), noise: number(noise) });
  }

  // labels: hold one, or see what the machine thinks
  const labels = [-1, ...images.names.keys()].slice(0, facts.labels ? facts.labels + 1 : 0).map((label) => {
    const button = element("button", { class: "label-unit" }, part("labels")), name = element("span", {}, button), bar = label < 0 ? null : element("i", {}, button);
    button.addEventListener("click", () => {
      chain.label = label;
      chain.hold();
      chain.look();
      if (!clock.on) for (let s = 0; s < 200; s++) step();
      show();
    });
    return { label, button, name, bar };
  });
  function showLabels() {
    if (!facts.labels) return;
    const probabilities = chain.labelled(), { names } = images;
    for (const { label, button, name, bar } of labels) {
      button.setAttribute("aria-pressed", chain.label === label);
      name.textContent = label < 0 ? say("free_label") : names[label];
      bar?.setAttribute("style", `--p: ${probabilities[label].toFixed(3)}`);
      button.setAttribute("aria-label", label < 0 ? say("free_label") : say("label", { name: names[label], p: percent(probabilities[label]) }));
    }
    const likely = probabilities.indexOf(Math.max(...probabilities));
    part("label-note").textContent = say(chain.label < 0 ? "label_note" : "label_held", { name: names[likely], p: percent(probabilities[likely]), held: names[chain.label] ?? "" });
  }
  function show() { showVisible(); showHidden(); showReading(); showEnergy(); showLabels(); }

  const clock = loop(place, () => {
    credit += SPEEDS[part("speed").value];
    const before = steps, end = performance.now() + 25; // a frame at most, however large the machine is
    for (; credit >= 1; credit--) if (performance.now() < end) step();
    if (steps !== before) show();
  });
  const playName = () => { one("play").textContent = say(clock.on ? "pause" : "play"); one("play").setAttribute("aria-pressed", clock.on); };
  one("play").addEventListener("click", () => { if (clock.on) clock.stop(); else clock.start(); playName(); });
  one("step").addEventListener("click", () => { clock.stop(); step(); show(); playName(); });
  one("restart").addEventListener("click", () => { restart(); show(); });
  one("free").addEventListener("click", () => { chain.held.fill(NaN); chain.holds(); showHeld(); show(); });

  const reach = Math.max(1, Math.round(Math.min(height, width) / 28));
  cells(part("visible"), height, width, {
    move: (row, column, pressed) => {
      if (!pressed) return;
      const far = tool === "1" ? reach : 2 * reach;
      for (let r = Math.max(0, row - far); r <= Math.min(height - 1, row + far); r++)
        for (let c = Math.max(0, column - far); c <= Math.min(width - 1, column + far); c++)
          if (Math.abs(r - row) + Math.abs(c - column) <= far) for (let channel = 0; channel < channels; channel++) chain.held[channel * size + r * width + c] = tool === "free" ? NaN : Number(tool);
      chain.holds();
      showHeld();
      showVisible();
    },
  });
  const pick = (row, column) => { const n = row * grid + column; if (n < units && n !== unit) { unit = n; showUnit(); } };
  cells(board, grid, grid, { move: (row, column, pressed) => { if (pressed || board.matches(":focus-visible")) pick(row, column); }, press: pick });

  const kept = (i) => whole || i % size < (height >> 1) * width;
  const thumbs = Array.from({ length: images.count }, (_, n) => {
    const thumb = element("button", { class: "thumb" }, part("thumbs")), sample = new Pixels(element("canvas", { class: "dots" }, thumb), width, height);
    const values = Float32Array.from(images.arrays.images.subarray(n * channels * size, (n + 1) * channels * size), (value) => value / 255);
    thumb.addEventListener("click", () => {
      values.forEach((value, i) => { chain.held[i] = kept(i) ? value : NaN; });
      chain.holds();
      restart();
      if (!clock.on) for (let s = 0; s < 60; s++) step();
      showHeld();
      show();
    });
    return () => {
      sample.show(values.map((value, i) => (kept(i) ? value : (images.ink ? 0 : 0.5) + 0.22 * (value - (images.ink ? 0 : 0.5)))), images);
      const name = images.names[images.arrays.labels[n]];
      thumb.setAttribute("aria-label", say(whole ? "hold_whole" : "hold_half", { number: n + 1, name: name ? `(${name})` : "" }));
    };
  });
  choice(place.querySelector("[data-choice=tool]"), (value) => { tool = value; });
  choice(place.querySelector("[data-choice=view]"), (value) => { view = value; showVisible(); });
  choice(place.querySelector("[data-choice=whole]"), (value) => { whole = value === "whole"; thumbs.forEach((paint) => paint()); });
  function showAll() { drawSheets(); drawChart(); showHeld(); showUnit(); show(); playName(); thumbs.forEach((paint) => paint()); }
  onChange(showAll);

  restart();
  const began = performance.now();
  for (let s = 0; s < BURNED && performance.now() < began + 150; s++) step(); // among likely images before anybody looks
  unit = Math.max(0, arrays.kept.findIndex((j) => chain.h[j] > 0.5 && arrays.activity[j] < 0.4)); // one that says something
  if (!still()) clock.start();
  showAll();
  return {
    chain, draw, step, clock, get unit() { return unit; }, get steps() { return steps; },
    /** How far free energies are from torch's, as a share of them. */
    check() {
      const length = chain.size;
      return Math.max(...Array.from(arrays.energies, (energy, n) => {
        const v = arrays.states.subarray(n * length, (n + 1) * length), [x] = chain.ups[chain.top](v), off = Math.abs(chain.freeEnergy(v, x) - energy) / Math.max(1, Math.abs(energy));
        chain.look();
        return off;
      }));
    },
  };
});
