// Parallel coordinates: a line is a run, an axis a swept value or a metric.
import { element, svg } from "../../pages/dom.js";
import { bring, data, kept, on, onBring, onRuns, own, part, say } from "./runs.js";
import { extent, scale, short } from "./scales.js";

const SPREAD = 8; // the ratio from which values lie by their logarithm: learning rates of 1e-4 … 1e-3, sampled, span somewhat less than 10
const TALL = 320, UPPER = 44, LOWER = 26, GAP = 150, MARGIN = 80;

/** An axis of numbers or of texts: its scale, and which values it marks. */
function ruler({ values, name }) {
  const known = values.filter((value) => value !== null);
  if (known.some((value) => typeof value === "string")) {
    const texts = [...new Set(known.map(String))].sort((one, other) => one.localeCompare(other, "en", { numeric: true }));
    const at = (value) => (texts.length === 1 ? (TALL - LOWER + UPPER) / 2 : TALL - LOWER - (texts.indexOf(String(value)) / (texts.length - 1)) * (TALL - LOWER - UPPER));
    return { at, marks: texts.length <= 12 ? texts : [texts[0], texts.at(-1)], text: String };
  }
  const logarithmic = known.every((value) => value > 0) && Math.max(...known) / Math.min(...known) >= SPREAD && !name.startsWith("test/");
  const at = scale(...extent(known, logarithmic, 0), TALL - LOWER, UPPER, { logarithmic });
  return { at, marks: [...at.range, ...at.ticks].filter((mark, n, all) => all.every((other, m) => m >= n || Math.abs(at(other) - at(mark)) > 17)), text: (value) => short(value, 4) };
}

export function parallel() {
  const panel = part("parallel"), runs = data.runs.length;
  const candidates = data.axes.filter(({ values }) => new Set(values.filter((value) => value !== null)).size > 1);
  const swept = candidates.filter((axis) => axis.swept && axis.name !== "seed");
  if (!panel || runs < 3 || !swept.length || candidates.length < 2) return null;
  panel.hidden = false;
  const goals = candidates.filter((axis) => axis.direction && axis.shown && axis.name !== "seconds_per_epoch");
  const first = [...swept, ...goals.slice(0, 3)].map(({ name }) => name), chosen = new Set(kept.get(own("axes"), first));
  let by = (goals[0] ?? candidates.at(-1)).name;
  const ranges = {}; // of axes along which the reader keeps some runs
  const place = part("lines");

  for (const { name, label } of candidates) {
    const line = element("label", {}, part("axes")), box = element("input", { type: "checkbox", ...(chosen.has(name) ? { checked: "" } : {}) }, line);
    line.append(label);
    box.addEventListener("change", () => {
      if (box.checked) chosen.add(name); else { chosen.delete(name); delete ranges[name]; }
      kept.set(own("axes"), [...chosen]);
      draw();
    });
  }

  let paths = {};
  function draw() {
    const axes = candidates.filter(({ name }) => chosen.has(name)), width = 2 * MARGIN + GAP * Math.max(axes.length - 1, 1);
    place.replaceChildren();
    place.style.minWidth = `${Math.min(width, 130 * axes.length)}px`;
    place.style.maxWidth = `${Math.max(1.5 * width, 640)}px`;
    const target = svg("svg", { class: "plot", viewBox: `0 0 ${width} ${TALL}`, role: "group", "aria-label": "parallel coordinates" }, place);
    const rulers = axes.map(ruler), x = (n) => MARGIN + n * GAP;
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
    axes.forEach((axis, n) => drawAxis(target, axis, rulers[n], x(n)));
    fade();
  }
  function drawAxis(target, axis, { at, marks, text }, x) {
    svg("path", { class: "grid", d: `M${x} ${UPPER}V${TALL - LOWER}` }, target);
    const name = svg("text", { class: "axis-name", x, y: 14, "text-anchor": "middle", role: "button", tabindex: 0, "aria-pressed": axis.name === by }, target);
    name.textContent = axis.label.length > 24 ? `…${axis.label.slice(-23)}` : axis.label;
    svg("title", {}, name).textContent = axis.label;
    const paint = () => { by = axis.name; draw(); };
    name.addEventListener("click", paint);
    name.addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === " ") { paint(); event.preventDefault(); } });
    if (axis.name === by) svg("text", { x, y: 29, "text-anchor": "middle" }, target).textContent = axis.direction ? (axis.direction > 0 ? "orange: higher, better" : "orange: lower, better") : "orange: higher";
    for (const mark of marks) svg("text", { x: x - 6, y: at(mark), dy: ".35em", "text-anchor": "end" }, target).textContent = text(mark).slice(0, 14);
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
  return { ranges, passes };
}
