// Curves that can be hovered, zoomed and smoothed.
import { choice, eachFrame, element, svg } from "../../pages/dom.js";
import { BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, axes, plot, pointed } from "./chart.js";
import { Tip, bring, data, kept, look, on, onBring, onRuns, own, part, say } from "./runs.js";
import { extent, scale, short } from "./scales.js";

const settings = { smoothing: 0, over: "epochs", logarithmic: false };
const LISTED = 10; // runs in the box beside the pointer

/** An exponential moving average, without the pull of its start towards zero: TensorBoard's. */
export function smoothed(values, weight) {
  let last = 0, share = 1;
  return values.map((value) => {
    last = last * weight + (1 - weight) * value;
    share *= weight;
    return last / (1 - share);
  });
}

class Chart {
  constructor(place, curve) {
    Object.assign(this, { curve, window: null, seen: false, stale: true, start: null, cursor: null });
    this.figure = element("figure", {}, place);
    const caption = element("figcaption", { text: curve.name }, this.figure);
    this.whole = element("button", { text: "Show all", hidden: "" }, caption);
    this.whole.addEventListener("click", () => this.zoom(null));
    this.svg = plot(this.figure, `${curve.name}: arrow keys read values, + and − zoom, Escape shows all`);
    this.tip = new Tip(this.figure);
    new IntersectionObserver(([entry]) => { this.seen = entry.isIntersecting; if (this.seen && this.stale) this.draw(); }, { rootMargin: "300px" }).observe(this.figure);
    this.listen();
  }
  update() { this.stale = true; if (this.seen) this.draw(); }

  /** The runs' points as they are drawn: [{run, xs, raw, ys}]. */
  series() {
    const found = [];
    for (const [key, [epochs, steps, values, means = values]] of Object.entries(this.curve.runs)) {
      const run = Number(key), seconds = data.runs[run].seconds;
      if (!on.has(run) || (settings.over === "minutes" && !seconds)) continue;
      const xs = settings.over === "steps" ? steps : settings.over === "epochs" ? epochs : epochs.map((epoch) => (epoch * seconds) / 60);
      found.push({ run, xs, raw: values, ys: settings.smoothing ? smoothed(means, settings.smoothing) : values });
    }
    return found;
  }
  draw() {
    this.stale = false;
    this.lines = this.series();
    const all = this.lines.flatMap(({ xs }) => xs), [first, last] = this.window ?? extent(all, false, 0);
    const inside = this.lines.flatMap(({ xs, ys }) => ys.filter((_, n) => xs[n] >= first && xs[n] <= last));
    const logarithmic = settings.logarithmic && inside.some((value) => value > 0);
    const counted = settings.over !== "minutes" && (all.every(Number.isInteger) || Math.floor(last) > Math.ceil(first)); // else within one epoch
    this.x = scale(first, last, LEFT, WIDTH - RIGHT, { whole: counted });
    const [low, high] = extent(inside, logarithmic);
    this.y = scale(low, high, HEIGHT - BOTTOM, TOP, { logarithmic });
    this.svg.replaceChildren();
    const id = `clip-${this.curve.name.replace(/\W/g, "-")}`, clip = svg("clipPath", { id }, svg("defs", {}, this.svg));
    svg("rect", { x: LEFT, y: TOP, width: WIDTH - LEFT - RIGHT, height: HEIGHT - TOP - BOTTOM }, clip);
    axes(this.svg, this.x, this.y, settings.over);
    const group = svg("g", { "clip-path": `url(#${id})` }, this.svg);
    this.paths = {};
    for (const { run, xs, raw, ys } of this.lines) {
      if (settings.smoothing) svg("path", { class: "line raw", d: this.path(xs, raw, logarithmic), ...look(run) }, group);
      this.paths[run] = svg("path", { class: "line", "data-run": run, d: this.path(xs, ys, logarithmic), ...look(run) }, group);
      if (xs.length === 1) svg("circle", { r: 3, cx: this.x(xs[0]), cy: this.y(ys[0]), fill: look(run).stroke }, group);
    }
    this.cross = svg("path", { class: "cross", d: "" }, group);
    this.zone = svg("rect", { class: "zone", y: TOP, height: HEIGHT - TOP - BOTTOM, width: 0, x: 0 }, this.svg);
    this.whole.hidden = !this.window;
    this.figure.dataset.drawn = this.lines.length;
  }
  path(xs, ys, logarithmic) {
    let path = "", pen = "M";
    for (let n = 0; n < xs.length; n++) {
      if (logarithmic && ys[n] <= 0) { pen = "M"; continue; }
      path += `${pen}${this.x(xs[n]).toFixed(1)} ${this.y(ys[n]).toFixed(1)}`;
      pen = "L";
    }
    return path;
  }
  zoom(window) { this.window = window; this.tip.hide(); this.draw(); }

  listen() {
    const target = this.svg, hover = eachFrame((at) => this.read(this.x.inverse(at.x), at));
    target.addEventListener("pointermove", (event) => {
      if (this.stale) return;
      const at = pointed(event, target);
      if (this.start === null) hover(at);
      else this.mark(this.start, at.x);
    });
    target.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      this.start = pointed(event, target).x;
      target.setPointerCapture(event.pointerId);
    });
    target.addEventListener("pointerup", (event) => {
      const end = pointed(event, target).x, [from, to] = [Math.min(this.start ?? end, end), Math.max(this.start ?? end, end)];
      this.start = null;
      this.mark(0, 0);
      if (to - from > 8) this.zoom([this.x.inverse(Math.max(from, LEFT)), this.x.inverse(Math.min(to, WIDTH - RIGHT))]);
    });
    target.addEventListener("pointercancel", () => { this.start = null; this.mark(0, 0); });
    target.addEventListener("pointerleave", () => this.leave());
    target.addEventListener("blur", () => this.leave());
    target.addEventListener("dblclick", () => this.zoom(null));
    target.addEventListener("keydown", (event) => this.key(event));
  }
  mark(from, to) {
    this.zone.setAttribute("x", Math.min(from, to));
    this.zone.setAttribute("width", Math.abs(to - from));
  }
  leave() { this.tip.hide(); this.cross?.setAttribute("d", ""); bring(null); }

  /** Tell the values nearest to a place of the horizontal axis; at is where the pointer is, if there is one. */
  read(x, at = null) {
    const nearest = this.lines.filter(({ xs }) => xs.length).map(({ run, xs, ys }) => {
      let best = 0;
      for (let n = 1; n < xs.length; n++) if (Math.abs(xs[n] - x) < Math.abs(xs[best] - x)) best = n;
      return { run, x: xs[best], y: ys[best], away: at ? Math.abs(this.y(ys[best]) - at.y) : 0 };
    });
    if (!nearest.length) return;
    const where = nearest.reduce((best, point) => (Math.abs(point.x - x) < Math.abs(best.x - x) ? point : best)).x;
    const close = nearest.reduce((best, point) => (point.away < best.away ? point : best));
    this.cross.setAttribute("d", `M${this.x(where)} ${TOP}V${HEIGHT - BOTTOM}`);
    if (at) bring(close.run);
    const shown = [...nearest].sort((one, other) => one.away - other.away).slice(0, LISTED).sort((one, other) => other.y - one.y);
    const lines = shown.map(({ run, y }) => ({ run, name: data.runs[run].name, value: short(y), near: at && run === close.run }));
    const more = nearest.length > LISTED ? [{ name: `and ${nearest.length - LISTED} more`, value: "" }] : [];
    const box = this.svg.getBoundingClientRect();
    this.tip.at(at?.left ?? (this.x(where) / WIDTH) * box.width, at?.top ?? 40, `${short(where, 6)} ${settings.over}`, [...lines, ...more]);
    this.cursor = where;
    if (!at) say(`${this.curve.name} after ${short(where, 6)} ${settings.over}: ${lines.map(({ name, value }) => `${name} ${value}`).join(", ")}`);
  }
  key(event) {
    const [first, last] = this.x.range, middle = this.cursor ?? (first + last) / 2;
    const along = { ArrowRight: 1, ArrowLeft: -1 }[event.key], closer = { "+": 0.5, "=": 0.5, "-": 2 }[event.key];
    if (along) {
      const stops = [...new Set(this.lines.flatMap(({ xs }) => xs))].filter((x) => x >= first && x <= last).sort((a, b) => a - b);
      const next = along > 0 ? stops.find((x) => x > middle) : stops.findLast((x) => x < middle);
      this.read(next ?? (along > 0 ? stops.at(-1) : stops[0]));
    } else if (closer) this.zoom([middle - ((middle - first) * closer), middle + ((last - middle) * closer)]);
    else if (event.key === "Escape") this.zoom(null);
    else return;
    event.preventDefault();
  }
}

/** Draw all curves; returns the charts by metric. */
export function curves() {
  const place = part("plots"), charts = {};
  if (!place) return charts;
  const many = data.curves.filter(({ name }) => name.split("/").length > 2);
  for (const curve of data.curves) if (!many.includes(curve)) charts[curve.name] = new Chart(place, curve);
  if (many.length) {
    const more = element("button", { text: `Show ${many.length} more, of single classes or steps` });
    place.after(more);
    more.addEventListener("click", () => { more.remove(); for (const curve of many) charts[curve.name] = new Chart(place, curve); });
  }
  const all = eachFrame(() => Object.values(charts).forEach((chart) => chart.update()));
  const smoothing = part("smoothing"), logarithmic = part("logarithmic"), over = document.querySelector("[data-choice=over]");
  const set = (key, value) => { settings[key] = value; kept.set(own(key), value); all(); };
  smoothing.value = settings.smoothing = kept.get(own("smoothing"), 0);
  logarithmic.checked = settings.logarithmic = kept.get(own("logarithmic"), false);
  const tell = () => { part("smoothed").textContent = Number(smoothing.value).toFixed(2); };
  smoothing.addEventListener("input", () => { tell(); set("smoothing", Number(smoothing.value)); });
  logarithmic.addEventListener("change", () => set("logarithmic", logarithmic.checked));
  choice(over, (value) => { for (const chart of Object.values(charts)) chart.window = null; set("over", value); })(settings.over = kept.get(own("over"), "epochs"));
  tell();
  onRuns(all);
  onBring((run) => {
    for (const chart of Object.values(charts)) for (const [other, path] of Object.entries(chart.paths ?? {})) path.classList.toggle("near", Number(other) === run);
  });
  addEventListener("beforeprint", () => Object.values(charts).forEach((chart) => chart.draw())); // nothing is missing on paper
  return charts;
}
