// Parallel coordinates: a line is a run, an axis a swept value or a metric.
import { eachFrame, element, svg } from "../../pages/dom.js";
import { bring, data, kept, on, onBring, onRuns, own, part, say } from "./runs.js";
import { extent, scale, short } from "./scales.js";

const SPREAD = 8; // the ratio from which values lie by their logarithm: learning rates of 1e-4 … 1e-3, sampled, span somewhat less than 10
const TALL = 320, UPPER = 44, LOWER = 26;
const GAP = 150, MARGIN = 80, NEAR = 88, EDGE = 62; // units between axes and beside them; the least ones, where there is little room

/** A text with its middle left out, which seldom tells it from others. */
export function shortened(text, most) {
  return text.length <= most ? text : `${text.slice(0, Math.floor((most - 1) / 2))}…${text.slice(-Math.ceil((most - 1) / 2))}`;
}
/** The end of a dotted name, from the start of one of its words where that is possible. */
export function ending(name, most) {
  if (name.length <= most) return name;
  const first = name.length - most + 1, word = [...name].findIndex((_, n) => n >= first && "./ ".includes(name[n - 1]));
  return `…${name.slice(word < 0 ? first : word)}`;
}

/** An axis of numbers or of texts: its scale, and which values it marks. */
function ruler({ values, name }) {
  const known = values.filter((value) => value !== null);
  if (known.some((value) => typeof value === "string")) {
    const texts = [...new Set(known.map(String))].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
    const at = (value) => (texts.length === 1 ? (TALL - LOWER + UPPER) / 2 : TALL - LOWER - (texts.indexOf(String(value)) / (texts.length - 1)) * (TALL - LOWER - UPPER));
    return { at, marks: texts.length <= 12 ? texts : [texts[0], texts.at(-1)], text: (value, most) => shortened(value, most) };
  }
  const logarithmic = known.every((value) => value > 0) && Math.max(...known) / Math.min(...known) >= SPREAD && !name.startsWith("test/");
  const at = scale(...extent(known, logarithmic, 0), TALL - LOWER, UPPER, { logarithmic, whole: known.every(Number.isInteger) });
  return { at, marks: [...at.range, ...at.ticks].filter((mark, n, all) => all.every((other, m) => m >= n || Math.abs(at(other) - at(mark)) > 17)), text: (value) => short(value, 4) };
}

export function parallel() {
  const panel = part("parallel"), runs = data.runs.length;
  const candidates = data.axes.filter(({ values }) => new Set(values.filter((value) => value !== null)).size > 1);
  const swept = candidates.filter((axis) => axis.swept && axis.name !== "seed");
  if (!panel || runs < 3 || !swept.length || candidates.length < 2) return null;
  panel.hidden = false;
  const goals = candidates.filter((axis) => axis.direction && axis.shown && !["seconds_per_epoch", "training_seconds"].includes(axis.name));
  const first = [...swept, ...goals.slice(0, 3)].map(({ name }) => name), chosen = new Set(kept.get(own("axes"), first));
  let by = (goals[0] ?? candidates.at(-1)).name;
  const ranges = {}; // of axes along which the reader keeps some runs
  const place = part("lines"), frame = place.parentElement;

  for (const { name, label } of candidates) {
    const line = element("label", {}, part("axes")), box = element("input", { type: "checkbox", ...(chosen.has(name) ? { checked: "" } : {}) }, line);
    line.append(label);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(name); else { chosen.delete(name); delete ranges[name]; }
      kept.set(own("axes"), [...chosen]);
      draw();
    });
  }

  let paths = {}, room = 0;
  function draw() {
    room = frame.clientWidth;
    const axes = candidates.filter(({ name }) => chosen.has(name)), tight = room < 2 * (MARGIN + GAP), margin = tight ? EDGE : MARGIN;
    const gap = tight ? Math.min(Math.max((room - 2 * margin) / 2, NEAR), GAP) : GAP; // two swept keys and the first metric are in sight
    const width = 2 * margin + gap * Math.max(axes.length - 1, 1);
    place.replaceChildren();
    place.style.minWidth = `${tight ? width : Math.min(width, 130 * axes.length)}px`;
    place.style.maxWidth = `${Math.max(1.5 * width, 640)}px`;
    const target = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${TALL}`, role: "group", "aria-label": "parallel coordinates" }, place);
    const rulers = axes.map(ruler), x = (n) => margin + n * gap;
    const goal = candidates.find(({ name }) => name === by), values = goal.values.filter((value) => typeof value === "number");
    const [low, high] = extent(values, false, 0);
    paths = {};
    const group = svg("g", {}, target);
    for (const run of on) {
      const points = axes.map(({ values: each }, n) => (each[run] === null ? null : [x(n), rulers[n].at(each[run])]));
      if (points.some((point) => point === null)) continue;
      const share = typeof goal.values[run] === "number" ? (goal.values[run] - low) / (high - low || 1) : 0.5, good = goal.direction < 0 ? 1 - share : share;
      const stroke = `color-mix(in oklab, var(--more) ${Math.round(100 * good)}%, var(--less))`;
      paths[run] = svg("path", { class: "line", "data-run": run, d: `M${points.map((point) => point.map((each) => each.toFixed(1)).join(" ")).join("L")}`, stroke }, group);
      paths[run].addEventListener("pointerenter", () => { bring(run); say(data.runs[run].name); });
      paths[run].addEventListener("pointerleave", () => bring(null));
      svg("title", {}, paths[run]).textContent = data.runs[run].name;
    }
    axes.forEach((axis, n) => drawAxis(target, axis, rulers[n], x(n), Math.floor(gap / 6.25), Math.floor((margin - 6) / 5.7)));
    fade();
  }
  function drawAxis(target, axis, { at, marks, text }, x, letters, lettersBeside) {
    svg("path", { class: "grid", d: `M${x} ${UPPER}V${TALL - LOWER}` }, target);
    const name = svg("text", { class: "axis-name", x, y: 14, "text-anchor": "middle", role: "button", tabindex: 0, "aria-pressed": axis.name === by }, target);
    name.textContent = ending(axis.label, letters);
    svg("title", {}, name).textContent = axis.label;
    const paint = () => { by = axis.name; draw(); };
    name.addEventListener("click", paint);
    name.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { paint(); event.preventDefault(); } });
    if (axis.name === by) svg("text", { x, y: 29, "text-anchor": "middle" }, target).textContent = axis.direction ? (axis.direction > 0 ? "orange: higher, better" : "orange: lower, better") : "orange: higher";
    for (const mark of marks) {
      const label = svg("text", { class: "mark", x: x - 6, y: at(mark), dy: ".35em", "text-anchor": "end" }, target);
      label.textContent = text(mark, lettersBeside);
      const { x: left, y, width, height } = label.getBBox(); // lines that ran up to a number would strike it out, or make it negative
      label.before(svg("rect", { class: "backing", x: left - 4, y: y - 1, width: width + 8, height: height + 2 }));
    }
    const range = ranges[axis.name], brush = svg("rect", { class: "brush", x: x - 7, width: 14, y: range ? range[0] : 0, height: range ? range[1] - range[0] : 0 }, target);
    const handle = svg("rect", { class: "handle", x: x - 12, y: UPPER - 8, width: 24, height: TALL - LOWER - UPPER + 16, "data-axis": axis.name }, target);
    let start = null;
    const height = (event) => { const box = target.getBoundingClientRect(); return ((event.clientY - box.top) / box.height) * TALL; };
    const reach = (event) => {
      const here = height(event), part = [Math.min(start, here), Math.max(start, here)];
      if (part[1] - part[0] > 3) ranges[axis.name] = part; else delete ranges[axis.name];
      brush.setAttribute("y", part[0]);
      brush.setAttribute("height", ranges[axis.name] ? part[1] - part[0] : 0);
      fade();
    };
    handle.addEventListener("pointerdown", (event) => { start = height(event); handle.setPointerCapture(event.pointerId); reach(event); });
    handle.addEventListener("pointermove", (event) => { if (start !== null) reach(event); });
    for (const end of ["pointerup", "pointercancel"]) handle.addEventListener(end, () => { start = null; });
  }
  /** Whether a run passes through all ranges. */
  function passes(run) {
    return Object.entries(ranges).every(([name, [top, bottom]]) => {
      const axis = candidates.find((each) => each.name === name), at = ruler(axis).at(axis.values[run]);
      return at >= top && at <= bottom;
    });
  }
  function fade() {
    for (const [run, path] of Object.entries(paths)) path.classList.toggle("faint", !passes(Number(run)));
  }
  onRuns(draw);
  onBring((run) => { for (const [other, path] of Object.entries(paths)) path.classList.toggle("near", Number(other) === run); });
  draw();
  new ResizeObserver(eachFrame(() => { if (frame.clientWidth !== room) draw(); })).observe(frame);
  return { ranges, passes };
}
