// Quality against what it costs: a dot is a run.
import { element, svg } from "../../pages/dom.js";
import { BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, axes, plot, pointed } from "./chart.js";
import { Tip, bring, colour, data, on, onBring, onRuns, part, say } from "./runs.js";
import { extent, scale, short } from "./scales.js";

const COSTS = { seconds_per_epoch: "seconds per epoch", parameters: "parameters", inference_ms_per_sample: "milliseconds per example", gmacs: "GMACs per example" };

/** The points that no other beats in both: cheaper, and better in the metric's direction. */
export function front(points, direction) {
  let best = -Infinity;
  return [...points].sort((one, other) => one.x - other.x || direction * (other.y - one.y)).filter(({ y }) => direction * y > best && ((best = direction * y), true));
}
/** What training cost: minutes in all, or a column of the table. */
function costs() {
  const axis = (name) => data.axes.find((each) => each.name === name)?.values;
  const seconds = axis("seconds_per_epoch"), epochs = axis("epochs"), total = axis("training_seconds"), found = [];
  const of = (run) => total?.[run] ?? (seconds[run] && epochs[run] ? seconds[run] * epochs[run] : null); // older runs have no total
  if (seconds && epochs) found.push({ label: "minutes of training", values: seconds.map((_, run) => (of(run) === null ? null : of(run) / 60)) });
  for (const [name, label] of Object.entries(COSTS)) if (axis(name)) found.push({ label, values: axis(name) });
  return found.filter(({ values }) => new Set(values.filter((each) => each !== null)).size > 1);
}

export function scatter() {
  const panel = part("scatter");
  if (!panel) return;
  const qualities = data.axes.filter((axis) => axis.direction && !(axis.name in COSTS) && axis.name !== "training_seconds" && axis.shown), prices = costs();
  if (!qualities.length || !prices.length) return;
  panel.hidden = false;
  const quality = part("quality"), cost = part("cost"), place = part("points");
  qualities.forEach(({ label }, n) => element("option", { value: n, text: label }, quality));
  prices.forEach(({ label }, n) => element("option", { value: n, text: label }, cost));
  const best = qualities.findIndex(({ name }) => name.startsWith("test/") && !name.endsWith("/loss"));
  quality.value = Math.max(best, 0);
  place.style.position = "relative";
  place.style.maxWidth = "46rem";
  const target = plot(place, "quality against cost: arrow keys go from run to run"), tip = new Tip(place);
  let points = [], x, y, at = -1;

  function draw() {
    const { values: ys, label, direction } = qualities[quality.value], { values: xs, label: price } = prices[cost.value];
    points = [...on].filter((run) => xs[run] !== null && ys[run] !== null).map((run) => ({ run, x: xs[run], y: ys[run] })).sort((one, other) => one.x - other.x);
    const wide = points.length && points[0].x > 0 && points.at(-1).x / points[0].x > 20; // of costs that differ by far
    x = scale(...extent(points.map((point) => point.x), wide), LEFT, WIDTH - RIGHT, { logarithmic: wide });
    y = scale(...extent(points.map((point) => point.y)), HEIGHT - BOTTOM, TOP);
    target.replaceChildren();
    axes(target, x, y, price);
    const best = front(points, direction);
    if (best.length) svg("path", { class: "front", d: `M${best.map((point) => `${x(point.x).toFixed(1)} ${y(point.y).toFixed(1)}`).join("L")}` }, target);
    for (const point of points) point.dot = svg("circle", { class: "dot", "data-run": point.run, r: 5, cx: x(point.x), cy: y(point.y), fill: colour(point.run) }, target);
    part("front").textContent = best.length ? `${label}: ${direction > 0 ? "higher" : "lower"} is better. The dashed line joins the runs that no other beats at less cost: ${best.slice(0, 6).map(({ run }) => data.runs[run].name).join("; ")}${best.length > 6 ? " …" : ""}.` : "";
  }
  function tell(point, spoken = false) {
    const box = target.getBoundingClientRect(), { label } = qualities[quality.value], { label: price } = prices[cost.value];
    const lines = [{ name: label, value: short(point.y) }, { name: price, value: short(point.x, 4) }];
    tip.at((x(point.x) / WIDTH) * box.width, (y(point.y) / HEIGHT) * box.height, data.runs[point.run].name, lines);
    bring(point.run);
    if (spoken) say(`${data.runs[point.run].name}: ${lines.map(({ name, value }) => `${name} ${value}`).join(", ")}`);
  }
  target.addEventListener("pointermove", (event) => {
    const here = pointed(event, target), away = ({ x: px, y: py }) => Math.hypot(x(px) - here.x, y(py) - here.y);
    const nearest = points.reduce((best, point) => (!best || away(point) < away(best) ? point : best), null);
    if (nearest && away(nearest) < 30) tell(nearest); else { tip.hide(); bring(null); }
  });
  target.addEventListener("pointerleave", () => { tip.hide(); bring(null); });
  target.addEventListener("blur", () => tip.hide());
  target.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step || !points.length) return;
    at = Math.min(Math.max(at + step, 0), points.length - 1);
    tell(points[at], true);
    event.preventDefault();
  });
  for (const menu of [quality, cost]) menu.addEventListener("change", draw);
  onRuns(draw);
  onBring((run) => points.forEach((point) => point.dot.setAttribute("r", point.run === run ? 8 : 5)));
  draw();
}
