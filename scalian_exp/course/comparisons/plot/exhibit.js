import { Pixels, colour, element, exhibit, language, number, onChange, percent, svg } from "../../../exhibits/frame/kit.js";

const WIDE = 760, HIGH = 400, LEFT = 72, RIGHT = 20, TOP = 34, BOTTOM = 52;
/** Shapes of points, so that colours are not all that tells series apart. */
const SHAPES = [
  (x, y) => `M${x - 6} ${y}a6 6 0 1 0 12 0a6 6 0 1 0 -12 0`,
  (x, y) => `M${x - 5.5} ${y - 5.5}h11v11h-11z`,
  (x, y) => `M${x} ${y - 7}l7 12h-14z`,
  (x, y) => `M${x} ${y - 7.5}l7 7.5l-7 7.5l-7 -7.5z`,
];
const DASHES = ["", "9 5", "3 4", "12 4 3 4"];
const hue = (n) => `--chip: var(--class-${1 + (n % 10)})`;

/** Round numbers that divide an interval. */
function ticks(low, high, log) {
  if (log) {
    const all = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power++) for (const lead of [1, 2, 5]) all.push(lead * 10 ** power);
    const within = all.filter((value) => value >= low * 0.999 && value <= high * 1.001);
    return within.length > 7 ? within.filter((value) => Math.abs(Math.log10(value) % 1) < 1e-9) : within;
  }
  const rough = (high - low) / 5, power = 10 ** Math.floor(Math.log10(rough)), step = [1, 2, 5, 10].find((lead) => lead * power >= rough) * power;
  const result = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) result.push(value);
  return result;
}

exhibit("plot", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`), chart = part("chart");
  const points = facts.series.flatMap(({ points: all }, s) => all.map(([x, y], n) => ({ s, n, x, y })));
  const within = ({ log, from_zero: fromZero }, values) => {
    let low = Math.min(...values), high = Math.max(...values);
    if (log) return [low / 1.15, high * 1.15];
    if (fromZero) low = Math.min(low, 0);
    const margin = 0.06 * (high - low || Math.abs(high) || 1);
    return [fromZero && low === 0 ? 0 : low - margin, high + margin];
  };
  const [x, y] = ["x", "y"].map((axis) => ({ ...facts[axis], range: within(facts[axis], points.map((point) => point[axis])) }));
  const share = ({ log, range: [low, high] }, value) => (log ? Math.log(value / low) / Math.log(high / low) : (value - low) / (high - low));
  const across = (value) => LEFT + share(x, value) * (WIDE - LEFT - RIGHT), up = (value) => HIGH - BOTTOM - share(y, value) * (HIGH - TOP - BOTTOM);
  const written = (axis, value, digits = axis.digits ?? 0) => (axis.percent ? percent(value, digits) : number(value, digits));
  const name = (text) => text[language()];
  const dash = (s) => (facts.series.length > 1 ? DASHES[s % 4] : ""); // so that lines which lie on one another are both seen
  let held = points.length - 1, marks = [];

  /** Small boxes along the line through points, where no name should stand. */
  const along = (all) => all.slice(1).flatMap(([bx, by], n) => Array.from({ length: 24 }, (_, k) => {
    const [ax, ay] = all[n], part = k / 23, [from, to] = [[across(ax), up(ay)], [across(bx), up(by)]];
    return { x: from[0] + part * (to[0] - from[0]) - 1, y: from[1] + part * (to[1] - from[1]) - 8, wide: 2 };
  }));

  function draw() {
    chart.replaceChildren();
    for (const [axis, low, high] of [[x, ...x.range], [y, ...y.range]]) {
      const all = ticks(low, high, axis.log), finest = Math.max(0, ...all.map((value) => Math.min(4, `${+(axis.percent ? 100 * value : value).toPrecision(6)}`.split(".")[1]?.length ?? 0)));
      for (const value of all) {
        const at = axis === x ? across(value) : up(value);
        svg("path", { class: "grid", d: axis === x ? `M${at} ${TOP}V${HIGH - BOTTOM}` : `M${LEFT} ${at}H${WIDE - RIGHT}` }, chart);
        const label = axis === x ? { x: at, y: HIGH - BOTTOM + 20, "text-anchor": "middle" } : { x: LEFT - 8, y: at + 5, "text-anchor": "end" };
        svg("text", { class: "tick", ...label }, chart).textContent = written(axis, value, finest);
      }
    }
    svg("text", { x: WIDE - RIGHT, y: HIGH - 8, "text-anchor": "end" }, chart).textContent = name(x);
    svg("text", { x: 4, y: 18 }, chart).textContent = name(y);
    facts.series.forEach(({ points: all, joined }, s) => {
      if (joined) svg("path", { class: "line", style: hue(s), "stroke-dasharray": dash(s), d: all.map(([a, b], n) => `${n ? "L" : "M"}${across(a).toFixed(1)} ${up(b).toFixed(1)}`).join("") }, chart);
    });
    const taken = facts.series.flatMap(({ points: all, joined }) => (joined ? along(all) : [])); // where lines and names are
    marks = points.map(({ s, n, x: a, y: b }) => {
      const { labels, joined, points: all } = facts.series[s], mark = svg("path", { class: "point", style: hue(joined ? s : n), d: SHAPES[(joined ? s : n) % 4](across(a), up(b)) }, chart);
      if (joined && all.length > 16) mark.style.visibility = "hidden";
      if (labels[n] && name(labels[n])) {
        const text = svg("text", { class: "point-name" }, chart);
        text.textContent = name(labels[n]);
        const wide = 8.5 * text.textContent.length, px = across(a), py = up(b), ways = [[11, -8], [-11, -8], [11, 20], [-11, 20]];
        const boxes = ways.map(([right, down]) => ({ x: px + right - (right < 0 ? wide : 0), y: py + down - 12, anchor: right < 0 ? "end" : "start", at: [px + right, py + down] }));
        const free = ({ x: left, y: top }) => left > LEFT && left + wide < WIDE && !taken.some((other) => left < other.x + other.wide && other.x < left + wide && Math.abs(top - other.y) < 16) && top > 0;
        const box = boxes.find(free) ?? boxes[0];
        taken.push({ x: box.x, y: box.y, wide });
        for (const [key, value] of Object.entries({ x: box.at[0], y: box.at[1], "text-anchor": box.anchor })) text.setAttribute(key, value);
      }
      return mark;
    });
    part("keys").replaceChildren();
    if (facts.series.length > 1) facts.series.forEach((series, s) => {
      const key = element("li", {}, part("keys")), sign = svg("svg", { viewBox: "0 0 36 20", "aria-hidden": true, style: hue(s) }, key);
      if (series.joined) svg("path", { class: "line", "stroke-dasharray": dash(s), d: "M0 10H36" }, sign);
      svg("path", { class: "point", d: SHAPES[s % 4](18, 10) }, sign);
      element("span", { text: name(series.name) }, key);
    });
    hold(held);
  }
  function hold(at) {
    marks[held]?.classList.remove("held");
    if (marks[held] && facts.series[points[held].s].joined && facts.series[points[held].s].points.length > 16) marks[held].style.visibility = "hidden";
    held = at;
    marks[held].classList.add("held");
    marks[held].style.visibility = "visible";
    const { s, n, x: a, y: b } = points[held], series = facts.series[s], label = series.labels[n] && name(series.labels[n]);
    const called = label && facts.series.length === 1 ? label : [name(series.name), label].filter(Boolean).join(", ");
    // of curves over the same numbers, all values there
    const beside = facts.series.map((other) => [other, other.joined && other.points.find(([there]) => there === a)]).filter(([, found]) => found);
    part("readout").textContent = beside.length > 1
      ? say("points", { x_name: name(x), x: written(x, a), y_name: name(y), values: beside.map(([other, [, value]]) => say("value", { name: name(other.name), y: written(y, value) })).join(say("between")) })
      : say("point", { name: called, x_name: name(x), x: written(x, a), y_name: name(y), y: written(y, b) });
    const run = series.runs[n];
    if (!facts.pictures || !run) return;
    const { arrays, shapes } = blocks[facts.pictures], [channels, height, width] = shapes[run];
    const picture = new Pixels(part("picture"), width, height);
    if (facts.classes) picture.paint((p) => (facts.colours ? [1, 3, 5].map((from) => parseInt(facts.colours[arrays[run][p]].slice(from, from + 2), 16)) : colour(`class-${arrays[run][p]}`)));
    else picture.show(Float32Array.from(arrays[run], (value) => value / 255), { shape: [channels], ink: facts.ink });
  }
  for (const event of ["pointermove", "pointerdown"]) chart.addEventListener(event, ({ clientX, clientY }) => {
    const box = chart.getBoundingClientRect(), px = ((clientX - box.left) / box.width) * WIDE, py = ((clientY - box.top) / box.height) * HIGH;
    const far = points.map(({ x: a, y: b }) => Math.hypot(across(a) - px, up(b) - py));
    hold(far.indexOf(Math.min(...far)));
  });
  chart.addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (!by) return;
    hold((held + by + points.length) % points.length);
    event.preventDefault();
  });
  onChange(draw);
  draw();
  return { points, hold };
});
