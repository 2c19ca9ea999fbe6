import { Pixels, cells, choice, colour, eachFrame, exhibit, mix, number, onChange, percent, ramp } from "../../../exhibits/frame/kit.js";

const FARTHEST = 0.6; // the difference at the ends of the scale

exhibit("pairs", (place, { blocks, facts, say }) => {
  const { height, width, images: count } = facts, size = height * width, { arrays } = blocks[facts.block];
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const maps = ["", ...Object.keys(facts.runs)].map((run) => {
    const panel = place.querySelector(`[data-map="${run}"]`), within = (name) => panel.querySelector(`[data-part=${name}]`), states = arrays[`states.${run}`], usual = new Float32Array(size);
    for (let n = 0; n < count; n++) for (let j = 0; j < size; j++) usual[j] += states[n * size + j] / count;
    return { run, states, usual, told: within("told"), canvas: within("map"), picture: new Pixels(within("map"), width, height), here: panel.querySelector(".here") };
  });
  const densities = Object.keys(facts.runs).map((run) => {
    const panel = place.querySelector(`[data-density="${run}"]`), values = arrays[`density.${run}`], side = values.shape[0];
    return { values, picture: new Pixels(panel.querySelector("[data-part=density]"), side, side), told: panel.querySelector("[data-part=agreement]"), about: facts.runs[run] };
  });
  let pixel = facts.start, view = "often";

  /** How often each pixel is on in those images in which one is; null if it never is. */
  function given({ states }, i) {
    const result = new Float32Array(size);
    let on = 0;
    for (let n = 0; n < count; n++) {
      const from = n * size;
      if (!states[from + i]) continue;
      on++;
      for (let j = 0; j < size; j++) result[j] += states[from + j];
    }
    return on ? result.map((value) => value / on) : null;
  }
  const values = ({ usual }, conditional) => (view === "often" ? conditional : conditional.map((value, j) => value - usual[j]));
  const written = (value, digits) => (value === null ? "—" : number(value, digits));

  function show() {
    const row = (pixel / width) | 0, column = pixel % width, data = given(maps[0], pixel), shade = ramp(["paper", "map-1", "map-2", "map-3"]), [paper, more, less] = ["paper", "more", "less"].map(colour);
    const tint = (value) => (view === "often" ? shade(value) : mix(paper, value > 0 ? more : less, Math.min(Math.abs(value) / FARTHEST, 1)));
    part("question").textContent = say(`question_${view}`, { row: row + 1, column: column + 1 });
    for (const map of maps) {
      map.here.setAttribute("x", column);
      map.here.setAttribute("y", row);
      const own = given(map, pixel), shown = own && values(map, own);
      map.picture.paint((j) => (shown ? tint(shown[j]) : colour("erased")));
      let off = 0;
      if (own && data && map.run) for (const [j, value] of values(maps[0], data).entries()) off += Math.abs(value - shown[j]) / size;
      map.told.textContent = own ? [say("alone", { share: percent(map.usual[pixel], 1) }), map.run && data ? say("deviation", { off: number(off, 3) }) : ""].join(" ") : say("never");
    }
  }
  function showScale() {
    const often = view === "often";
    part("ramp").className = `ramp ${often ? "probability" : "influence"}`;
    part("least").textContent = often ? "0" : `≤ ${number(-FARTHEST, 1)}`;
    part("most").textContent = often ? "1" : `≥ +${number(FARTHEST, 1)}`;
  }
  function showDensities() {
    const shade = ramp(["paper", "map-1", "map-2", "map-3"]), told = (key, { difference, correlation, covariance_correlation: covariance }) =>
      say(key, { difference: number(difference, 4), correlation: written(correlation, 3), covariance: written(covariance, 3) });
    for (const { values: levels, picture, told: target, about } of densities) {
      picture.paint((j) => shade(levels[j] / 255));
      target.textContent = told("agreement", about);
    }
    for (const end of place.querySelectorAll("[data-part=end]")) end.textContent = number(facts.most, 1);
    part("reference").textContent = told("reference", facts.reference);
  }
  function choose(i) { pixel = i; show(); }
  const point = eachFrame((row, column) => choose(row * width + column));
  for (const { canvas } of maps) cells(canvas, height, width, { move: point });
  choice(place.querySelector("[data-choice=view]"), (value) => { view = value; show(); showScale(); });
  const all = () => { show(); showScale(); showDensities(); };
  all();
  onChange(all);
  return { choose, given: (n, i) => given(maps[n], i), get pixel() { return pixel; } };
});
