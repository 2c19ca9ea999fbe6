import { Pixels, cells, colour, eachFrame, element, exhibit, language, mix, number, onChange, percent, ramp, svg } from "../frame/kit.js";

const BRIGHTEST = 4, VOID = 255; // nats at the end of the map's scale; the number of pixels without a target

/** Boxes [class, top, left, bottom, right] around the 4-connected regions of a mask of at least `smallest` cells; one
 * that reaches all four edges is a background. */
export function boxes(mask, height, width, smallest) {
  const seen = new Uint8Array(mask.length), found = [];
  for (let start = 0; start < mask.length; start++) {
    if (seen[start]) continue;
    const own = mask[start], open = [start];
    let size = 0, top = height, left = width, bottom = 0, right = 0;
    seen[start] = 1;
    while (open.length) {
      const at = open.pop(), row = (at / width) | 0, column = at % width;
      size++;
      top = Math.min(top, row); bottom = Math.max(bottom, row + 1);
      left = Math.min(left, column); right = Math.max(right, column + 1);
      for (const [near, inside] of [[at - width, row > 0], [at + width, row + 1 < height], [at - 1, column > 0], [at + 1, column + 1 < width]])
        if (inside && !seen[near] && mask[near] === own) { seen[near] = 1; open.push(near); }
    }
    if (size >= smallest && !(top === 0 && left === 0 && bottom === height && right === width)) found.push([own, top, left, bottom, right]);
  }
  return found;
}

exhibit("masks", (place, { blocks, facts, say }) => {
  const { height, width, classes, shown, scenes, most, shrink } = facts, size = height * width, { arrays } = blocks[facts.masks];
  const part = (name) => place.querySelector(`[data-part=${name}]`), looked = ["scene", "predicted", "losses"];
  const pictures = Object.fromEntries([...looked, "detected", "overlaid"].map((name) => [name, new Pixels(part(name), width, height)]));
  let scene = 0, look = [height >> 1, width >> 1], only = null;

  const decoded = (level) => most * (level / 255) ** 2;
  const word = (k) => facts.names[language()][k];
  const css = (k) => facts.colours?.[k] ?? `var(--class-${k})`;
  const rgb = (k) => (facts.colours ? [1, 3, 5].map((at) => parseInt(facts.colours[k].slice(at, at + 2), 16)) : colour(`class-${k}`));
  const target = (s, p) => arrays.targets[s * size + p], guess = (s, p) => arrays.predicted[s * size + p];
  /** A cell's loss: the mean over its labelled pixels, of which there are `counted`. */
  const loss = (s, p) => decoded(arrays.cells[s * size + p]), counted = (s, p) => arrays.counted[s * size + p];
  /** −log p of the target at the pixel in the cell's middle. */
  const own = (s, p) => (arrays.own ? decoded(arrays.own[s * size + p]) : loss(s, p));
  /** The probabilities at that pixel: [class, p], in the classes' order if all are there, else the likeliest first. */
  function odds(s, p) {
    const all = Array.from({ length: shown }, (_, n) => {
      const at = (s * shown + n) * size + p;
      return [arrays.ranks ? arrays.ranks[at] : n, Math.exp(-decoded(arrays.classes[at]))];
    });
    const truth = target(s, p);
    if (arrays.ranks && truth !== VOID && !all.some(([k]) => k === truth)) all.push([truth, Math.exp(-own(s, p))]);
    return all;
  }
  const means = Array.from({ length: scenes }, (_, s) => {
    let sum = 0;
    for (let p = 0; p < size; p++) sum += counted(s, p) * loss(s, p);
    return sum / Math.max(facts.pixels[s], 1);
  });
  const pixels = facts.pixels.reduce((a, b) => a + b, 0), mean = means.reduce((sum, m, s) => sum + m * facts.pixels[s], 0) / Math.max(pixels, 1);
  const pixel = (s, p) => Array.from({ length: 3 }, (_, c) => arrays.images[(s * facts.channels + (facts.channels === 3 ? c : 0)) * size + p]);

  /** Where the target changes: the outlines drawn over all three pictures. */
  function contour() {
    let path = "";
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++) {
        const here = target(scene, r * width + c);
        if (c + 1 < width && here !== target(scene, r * width + c + 1)) path += `M${c + 1} ${r}v1`;
        if (r + 1 < height && here !== target(scene, (r + 1) * width + c)) path += `M${c} ${r + 1}h1`;
      }
    for (const line of place.querySelectorAll(".contour")) line.setAttribute("d", path);
  }
  const rows = Array.from({ length: shown + (arrays.ranks ? 1 : 0) }, () => {
    const row = element("li", {}, part("bars")), name = element("span", { class: "name" }, row), track = element("span", { class: "track" }, row);
    return { row, name, bar: element("i", {}, track), value: element("span", { class: "value" }, row) };
  });
  part("bars").style.setProperty("--rows", Math.ceil(rows.length / 2));

  function showScene() {
    const shade = ramp(["paper", "loss-1", "loss-2", "loss-3"]);
    pictures.scene.paint((p) => pixel(scene, p));
    pictures.predicted.paint((p) => rgb(guess(scene, p)));
    pictures.losses.paint((p) => (counted(scene, p) ? shade(loss(scene, p) / BRIGHTEST) : colour("erased")));
    part("most").textContent = `≥ ${number(BRIGHTEST)} nats`;
    contour();
    [...part("thumbs").children].forEach((thumb, s) => thumb.setAttribute("aria-pressed", s === scene));
    let right = 0, there = 0;
    for (let p = 0; p < size; p++) if (target(scene, p) !== VOID) { there++; right += guess(scene, p) === target(scene, p); }
    part("scene-note").textContent = say("scene_note");
    part("predicted-note").textContent = say("predicted_note", { right: percent(right / Math.max(there, 1), 1) });
    const dearest = Float64Array.from({ length: size }, (_, p) => counted(scene, p) * loss(scene, p)).sort().reverse();
    let half = 0, count = 0;
    while (count < size && half < (means[scene] * facts.pixels[scene]) / 2) half += dearest[count++];
    const without = facts.full[0] * facts.full[1] - facts.pixels[scene];
    part("sum").textContent = [
      say("sum", { pixels: number(facts.pixels[scene]), mean: number(means[scene], 4), torch: number(facts.losses[scene], 4), few: percent(count / size, 1) }),
      without ? say("without", { count: number(without) }) : "",
      say("sum_all", { scenes: number(scenes), all: number(mean, 4), all_torch: number(facts.loss, 4) }),
    ].join(" ");
    showAnswers();
  }
  function showPixel() {
    const [row, column] = look, p = row * width + column, truth = target(scene, p), reach = Math.max(1.5, width / 64);
    const x = column + 0.5, y = row + 0.5;
    for (const cross of place.querySelectorAll(".cross"))
      cross.setAttribute("d", `M${x - reach} ${y - reach}h${2 * reach}v${2 * reach}h${-2 * reach}zM${x} 0V${y - 2 * reach}M${x} ${y + 2 * reach}V${height}M0 ${y}H${x - 2 * reach}M${x + 2 * reach} ${y}H${width}`);
    const all = odds(scene, p);
    rows.forEach(({ row: line, name, bar, value }, n) => {
      line.hidden = n >= all.length;
      if (line.hidden) return;
      const [k, chance] = all[n];
      name.textContent = word(k);
      bar.style.width = `${100 * chance}%`;
      bar.style.background = css(k);
      value.textContent = chance < 0.0005 ? `< ${number(0.001, 3)}` : number(chance, 3);
      line.classList.toggle("truth", k === truth);
    });
    const seen = { row: number(row * shrink + (shrink >> 1) + 1), column: number(column * shrink + (shrink >> 1) + 1), guess: word(guess(scene, p)) };
    if (truth === VOID) {
      part("formula").textContent = "—";
      part("where").textContent = say("void", seen);
      return;
    }
    const chance = Math.exp(-own(scene, p));
    part("formula").textContent = say("formula", { p: number(chance, chance < 0.01 ? 5 : 3), loss: number(own(scene, p), 3) });
    part("where").textContent = say("where", { name: word(truth), ...seen }) + (shrink > 1 ? " " + say("cell", { pixels: number(counted(scene, p)), loss: number(loss(scene, p), 3) }) : "");
  }

  // three questions: which classes, in which boxes, at which pixels
  let found = [];
  function showAnswers() {
    const mask = arrays.predicted.subarray(scene * size, (scene + 1) * size), share = new Array(classes).fill(0), true_ = new Array(classes).fill(0);
    for (let p = 0; p < size; p++) { share[mask[p]]++; if (target(scene, p) !== VOID) true_[target(scene, p)]++; }
    const listed = [...share.keys()].filter((k) => share[k] || true_[k]).sort((a, b) => share[b] - share[a]), labelled = true_.reduce((a, b) => a + b, 0) || 1;
    if (!listed.includes(only)) only = null;
    part("present").replaceChildren(...listed.slice(0, 12).map((k) => {
      const button = element("button", { class: "answer", "aria-pressed": k === only, style: `--chip: ${css(k)}` });
      element("i", { class: "swatch" }, button);
      element("span", { text: word(k) }, button);
      element("b", { text: percent(share[k] / size, 1) }, button);
      element("small", { text: say("truly", { share: percent(true_[k] / labelled, 1) }) }, button);
      button.addEventListener("click", () => { only = only === k ? null : k; showAnswers(); part("present").children[listed.indexOf(k)]?.focus({ preventScroll: true }); });
      return button;
    }));
    const missed = listed.filter((k) => true_[k] && !share[k]), invented = listed.filter((k) => share[k] && !true_[k]);
    part("present-note").textContent = say("present_note", { missed: missed.map(word).join(", ") || "—", invented: invented.map(word).join(", ") || "—" });
    const smallest = Number(part("smallest").value);
    part("smallest-name").textContent = say("smallest", { count: number(smallest) });
    found = boxes(mask, height, width, smallest);
    part("boxes").replaceChildren();
    const letters = width / 20, names = []; // [left, right, baseline, text], side by side or below each other; without room, none
    for (const [k, top, left, bottom, right] of found) {
      if (only !== null && k !== only) continue;
      const box = svg("g", { style: `--chip: ${css(k)}` }, part("boxes")), rim = { x: left, y: top, width: right - left, height: bottom - top };
      svg("rect", { ...rim, class: "rim" }, box);
      svg("rect", { ...rim, class: "box" }, box);
      const long = 0.65 * letters * word(k).length, start = Math.max(0, Math.min(left + 1, width - long)), name = [start, start + long, Math.max(top - 1, letters), word(k)];
      while (names.some(([from, to, line]) => from < name[1] && name[0] < to && Math.abs(line - name[2]) < letters)) name[2] += letters;
      if (name[2] <= height) names.push(name);
    }
    names.forEach(([x, , y, text]) => { svg("text", { x, y, "font-size": letters, class: "box-name" }, part("boxes")).textContent = text; }); // above all boxes
    part("boxes-note").textContent = say("boxes_note", { count: number(found.length) });
    pictures.detected.paint((p) => pixel(scene, p));
    pictures.overlaid.paint((p) => mix(pixel(scene, p), only === null || mask[p] === only ? rgb(mask[p]) : colour("paper"), only === null || mask[p] === only ? 0.62 : 0.75));
  }
  part("smallest").addEventListener("input", showAnswers);

  // the CRF
  const crf = facts.crf && refining();
  function refining() {
    const { grid: [count, first, second, steps] } = facts.crf, { arrays: grids } = blocks[facts.crf.block], views = ["before", "after", "change"].map((name) => new Pixels(part(`crf-${name}`), width, height));
    const at = { steps, appearance: facts.crf.own[0], smoothness: facts.crf.own[1] };
    const place_ = () => ((crfScene() * first + at.appearance) * second + at.smoothness) * steps + at.steps - 1;
    const crfScene = () => (scene < count ? scene : 0);
    const after = (p) => (at.steps ? grids.masks[place_() * size + p] : guess(crfScene(), p));
    const each = (k, refined) => (refined && at.steps ? grids.ious[place_() * classes + k] : grids.before[crfScene() * classes + k]);
    function miou(refined) {
      const values = Array.from({ length: classes }, (_, k) => each(k, refined)).filter((v) => v >= 0);
      return values.reduce((a, b) => a + b, 0) / values.length;
    }
    function show() {
      const s = crfScene(), change = (p) => (target(s, p) === VOID ? 0 : (after(p) === target(s, p)) - (guess(s, p) === target(s, p)));
      const [paper, less, more, line] = ["paper", "less", "more", "line"].map(colour);
      views[0].paint((p) => rgb(guess(s, p)));
      views[1].paint((p) => rgb(after(p)));
      views[2].paint((p) => { const way = change(p); return way ? (way > 0 ? less : more) : guess(s, p) !== target(s, p) && target(s, p) !== VOID ? line : paper; });
      let mended = 0, harmed = 0, labelled = 0;
      for (let p = 0; p < size; p++) { const way = change(p); labelled += target(s, p) !== VOID; mended += way > 0; harmed += way < 0; }
      for (const name of ["steps", "appearance", "smoothness"]) {
        const output = part(`${name}-value`);
        if (output) output.textContent = name === "steps" ? number(at.steps ? facts.crf.steps[at.steps - 1] : 0) : number(facts.crf[name][at[name]], 1);
      }
      part("crf-ious").textContent = say("crf_ious", { before: number(miou(false), 3), after: number(miou(true), 3) });
      const gains = Array.from({ length: classes }, (_, k) => [k, each(k, true) - each(k, false)]).filter(([k]) => each(k, true) >= 0 && each(k, false) >= 0).sort((a, b) => b[1] - a[1]);
      const told = ([k, gain]) => `${word(k)} ${gain < 0 ? "" : "+"}${number(gain, 3)}`;
      part("crf-classes").textContent = gains.length ? say("crf_classes", { best: told(gains[0]), worst: told(gains.at(-1)) }) : "";
      part("crf-mended").textContent = say("crf_mended", { share: percent(mended / Math.max(labelled, 1), 2) });
      part("crf-harmed").textContent = say("crf_harmed", { share: percent(harmed / Math.max(labelled, 1), 2) });
      part("crf-scene").textContent = say(scene < count ? "crf_scene" : "crf_other", { number: number(s + 1), count: number(count) });
    }
    for (const name of ["steps", "appearance", "smoothness"]) part(name)?.addEventListener("input", (event) => { at[name] = Number(event.target.value); show(); });
    return { show, at, miou, mask: () => Array.from({ length: size }, (_, p) => after(p)) };
  }

  const point = eachFrame((row, column) => { look = [row, column]; showPixel(); });
  for (const name of looked) cells(part(name), height, width, { move: point });
  for (let s = 0; s < scenes; s++) {
    const thumb = element("button", { class: "thumb scene", style: `aspect-ratio: ${width} / ${height}` }, part("thumbs"));
    new Pixels(element("canvas", { class: "dots" }, thumb), width, height).paint((p) => pixel(s, p));
    const label = () => thumb.setAttribute("aria-label", say("scene", { number: s + 1 }));
    label();
    onChange(label);
    thumb.addEventListener("click", () => choose(s));
  }
  /** Start amid the cells that cost the most: that is what one would look for. */
  function worst() {
    let dearest = -1;
    for (let r = 3; r < height - 3; r += 2)
      for (let c = 3; c < width - 3; c += 2) {
        let sum = 0;
        for (let dr = -2; dr <= 2; dr++) for (let dc = -2; dc <= 2; dc++) { const p = (r + dr) * width + c + dc; sum += counted(scene, p) ? Math.min(loss(scene, p), BRIGHTEST) : 0; }
        if (sum > dearest && target(scene, r * width + c) !== VOID) { dearest = sum; look = [r, c]; }
      }
  }
  const show = () => { showScene(); showPixel(); crf?.show(); };
  function choose(s) { scene = s; worst(); show(); }
  choose(means.slice(0, facts.crf ? facts.crf.grid[0] : scenes).reduce((best, value, s, all) => (value > all[best] ? s : best), 0));
  onChange(show);

  return {
    means, mean, odds, crf, choose, get look() { return look; }, get scene() { return scene; }, get found() { return found; },
    check: () => Math.max(Math.abs(mean - facts.loss), ...means.map((value, s) => Math.abs(value - facts.losses[s]))),
  };
});
