// What exhibits share: words in both languages, numbers, colours, pictures of pixels, pointers and keys.
import { element } from "../../pages/dom.js";
import { announce } from "./spoken.js";

export { choice, eachFrame, element, svg } from "../../pages/dom.js";

export const root = document.documentElement;
const mounts = {};
/** An exhibit: (element, {arrays, facts, say}) → an object with what tests and the page may call. */
export const exhibit = (name, mount) => { mounts[name] = (place, given) => { const made = mount(place, given); announce(place); return made; }; };
export const mounted = () => mounts;

export const language = () => root.lang;
export const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

const formats = {}; // made once: that takes a tenth of a millisecond
/** A number as the language writes it: decimal comma, no-break spaces, a true minus. */
export function number(value, digits = 0) {
  const fraction = { minimumFractionDigits: digits, maximumFractionDigits: digits };
  const format = (formats[language() + digits] ??= new Intl.NumberFormat(language() === "fr" ? "fr-FR" : "en-GB", fraction));
  const text = format.format(Math.abs(value));
  return value < 0 && /[1-9]/.test(text) ? `−${text}` : text;
}
export const percent = (share, digits = 0) => number(100 * share, digits) + (language() === "fr" ? "\u202f%" : "%");

/** A number that is written out with its noun: French counts everything below 2 as one, English only "1"; as texts.py. */
export function counted(text, one, many) {
  const digits = String(text).replace(/,/g, language() === "fr" ? "." : "").replace(/[^\d.]/g, "");
  return `${text}\u00a0${(language() === "fr" ? Number(digits) < 2 : digits === "1") ? one : many}`;
}

/** Words of an exhibit → say(key, {name: value}) in the page's language; {name image|images} is a value with its noun. */
export const speaker = (words) => (key, values = {}) => {
  const entry = words[key];
  if (!entry) throw new Error(`no words for ${key}`);
  return entry[language()].replace(/\{(\w+)(?: ([^{}|]+)\|([^{}|]+))?\}/g, (_, name, one, many) => (one ? counted(values[name], one, many) : values[name]));
};

/** Words that all exhibits share. */
export const shared = (key, values) => speaker(JSON.parse(document.getElementById("page-words").textContent))(key, values);

/** Call when language or colours change. */
export const onChange = (callback) => { for (const event of ["languagechange", "themechange"]) root.addEventListener(event, callback); };

/** A colour of the style sheet as [red, green, blue]. */
const known = new Map();
root.addEventListener("themechange", () => known.clear());
export function colour(name) {
  if (!known.has(name)) {
    const text = getComputedStyle(root).getPropertyValue(`--${name}`).trim();
    known.set(name, [1, 3, 5].map((at) => parseInt(text.slice(at, at + 2), 16)));
  }
  return known.get(name);
}
export const mix = (from, to, share) => from.map((value, i) => value + (to[i] - value) * share);
/** Several colours, evenly spaced over [0, 1]. */
export function ramp(names) {
  const stops = names.map(colour);
  return (value) => {
    const at = Math.min(Math.max(value, 0), 1) * (stops.length - 1), low = Math.min(at | 0, stops.length - 2);
    return mix(stops[low], stops[low + 1], at - low);
  };
}

/** A canvas of one dot a pixel, which the style sheet enlarges. */
export class Pixels {
  constructor(canvas, width, height) {
    canvas.width = width;
    canvas.height = height;
    Object.assign(this, { canvas, width, height, context: canvas.getContext("2d") });
    this.image = this.context.createImageData(width, height);
  }
  /** paint(index) → [red, green, blue], for every pixel or for those of a row. */
  paint(colourAt) {
    const { data } = this.image;
    for (let i = 0, at = 0; i < this.width * this.height; i++, at += 4) {
      const [red, green, blue] = colourAt(i);
      data[at] = red; data[at + 1] = green; data[at + 2] = blue; data[at + 3] = 255;
    }
    this.context.putImageData(this.image, 0, 0);
  }
  /** Values in [0, 1] as ink on paper. */
  ink(values, start = 0) {
    const paper = colour("paper"), ink = colour("ink-dot");
    this.paint((i) => mix(paper, ink, values[start + i]));
  }
  /** An image (C, H, W) in [0, 1] of the run's kind: ink on paper where its ground is empty, else as it is. */
  show(values, { shape: [channels], ink }, start = 0) {
    const size = this.width * this.height;
    if (channels === 3) this.paint((i) => [0, 1, 2].map((c) => 255 * values[start + c * size + i]));
    else if (ink) this.ink(values, start);
    else this.paint((i) => new Array(3).fill(255 * values[start + i]));
  }
}

/** A canvas or SVG that is pointed at in cells: move(row, column, pressed), also with arrow keys; Enter or space press.
 * Hovering is told with pressed = false. */
export function cells(target, rows, columns, { move, leave, press }) {
  let row = rows >> 1, column = columns >> 1, pressed = false, last = null;
  const place = (event) => {
    const box = target.getBoundingClientRect();
    return [Math.floor(((event.clientY - box.top) / box.height) * rows), Math.floor(((event.clientX - box.left) / box.width) * columns)];
  };
  const within = (r, c) => r >= 0 && c >= 0 && r < rows && c < columns;
  const go = (event) => {
    const [r, c] = place(event);
    if (last && pressed) { // pixels between two events too
      const steps = Math.max(Math.abs(r - last[0]), Math.abs(c - last[1]), 1);
      for (let s = 1; s < steps; s++) {
        const [br, bc] = [0, 1].map((k) => Math.round(last[k] + (([r, c][k] - last[k]) * s) / steps));
        if (within(br, bc)) move(br, bc, true);
      }
    }
    last = [r, c];
    if (within(r, c)) { [row, column] = [r, c]; move(r, c, pressed); }
  };
  target.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    pressed = true; last = null;
    target.setPointerCapture(event.pointerId);
    const [r, c] = place(event);
    if (within(r, c)) press?.(r, c);
    go(event);
    event.preventDefault();
    target.focus({ preventScroll: true });
  });
  target.addEventListener("pointermove", go);
  for (const name of ["pointerup", "pointercancel"]) target.addEventListener(name, () => { pressed = false; last = null; });
  target.addEventListener("pointerleave", () => { if (!pressed) leave?.(); });
  target.addEventListener("keydown", (event) => {
    const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
    if (step) {
      const by = event.shiftKey ? 4 : 1;
      row = Math.min(Math.max(row + by * step[0], 0), rows - 1);
      column = Math.min(Math.max(column + by * step[1], 0), columns - 1);
      move(row, column, false);
    } else if (event.key === "Enter" || event.key === " ") {
      press?.(row, column);
      move(row, column, true);
    } else return;
    event.preventDefault();
  });
  target.addEventListener("focus", () => { if (target.matches(":focus-visible")) move(row, column, false); });
}

/** Call step() on every frame while on, the element is in view and the page is seen. */
export function loop(place, step) {
  let on = false, seen = true, frame = 0;
  const run = () => { frame = 0; if (!on || !seen) return; step(); ask(); };
  const ask = () => { if (on && seen && !frame) frame = requestAnimationFrame(run); };
  new IntersectionObserver(([entry]) => { seen = entry.isIntersecting; ask(); }).observe(place);
  return { start() { on = true; ask(); }, stop() { on = false; }, get on() { return on; } };
}

/** The colour of a class, which never carries meaning alone. */
export const classColour = (label) => `var(--digit-${label % 10})`;

/** Buttons, one a class: names() are those of all classes; chosen(class) is called with the one that is brought out, or
 * null for all. */
export function legend(place, names, chosen) {
  let only = null;
  const buttons = names().map((name, label) => {
    const button = element("button", { class: "chip", "aria-pressed": false, style: `--chip: ${classColour(label)}`, text: name }, place);
    button.addEventListener("click", () => {
      only = only === label ? null : label;
      buttons.forEach((other, at) => other.setAttribute("aria-pressed", only === at));
      chosen(only);
    });
    return button;
  });
  onChange(() => buttons.forEach((button, label) => { button.textContent = names()[label]; }));
}

/** The Euclidean length of a vector. */
export function magnitude(values) {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i] * values[i];
  return Math.sqrt(sum);
}

/** Runs jobs, some milliseconds of them a frame; new ones replace those that wait. */
export function gradually() {
  let jobs = [], waiting = false;
  const run = () => {
    const end = performance.now() + 12;
    do jobs.shift()?.(); while (jobs.length && performance.now() < end);
    waiting = jobs.length > 0;
    if (waiting) requestAnimationFrame(run);
  };
  addEventListener("beforeprint", () => { while (jobs.length) jobs.shift()(); }); // nothing is missing on paper
  return (given) => {
    jobs = [...given];
    if (!waiting) requestAnimationFrame(run);
    waiting = true;
  };
}
