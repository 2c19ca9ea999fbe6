// What the parts of the page share: its data, which runs are shown, and how they look.
import { element, memory, svg } from "../../pages/dom.js";

export const root = document.documentElement;
export const data = JSON.parse(document.getElementById("data").textContent);
export const kept = memory("scalian-report"); // colours; all that belongs to these runs has their title in its name
export const own = (key) => `${data.title} ${data.runs.length} ${key}`;
export const part = (name) => document.querySelector(`[data-part="${name}"]`);

/** Numbers of the runs that are shown. */
export const on = new Set(data.runs.keys());
export function show(runs) {
  on.clear();
  for (const run of runs) on.add(run);
  root.dispatchEvent(new Event("runschange"));
}
export const onRuns = (callback) => root.addEventListener("runschange", callback);

/** Bring out a run everywhere, or none with null. */
export function bring(run) {
  root.dispatchEvent(new CustomEvent("bring", { detail: run }));
}
export const onBring = (callback) => root.addEventListener("bring", ({ detail }) => callback(detail));

/** Say something to listeners. */
export function say(text) { part("spoken").textContent = text; }

const HUES = [0, 6, 3, 5, 1, 7, 2, 8, 4, 9]; // neighbours differ clearly
const DASHES = ["", "7 3", "2 3"];
export const colour = (run) => `var(--digit-${HUES[run % HUES.length]})`;
/** Attributes of a run's line; thirty of them differ. */
export const look = (run) => ({ stroke: colour(run), "stroke-dasharray": DASHES[Math.floor(run / HUES.length) % DASHES.length] });

export function swatch(place, run) {
  const box = svg("svg", { viewBox: "0 0 24 10", "aria-hidden": true, preserveAspectRatio: "none" }, place);
  svg("path", { d: "M0 5H24", "stroke-width": 4, fill: "none", ...look(run) }, box);
}

/** A box beside the pointer with lines of texts: [{run, name, value, near}]. */
export class Tip {
  constructor(place) {
    this.place = place;
    this.box = element("div", { class: "tip", hidden: "" }, place);
  }
  at(x, y, heading, lines) {
    this.box.replaceChildren();
    element("p", { class: "small", text: heading }, this.box);
    for (const { run, name, value, near } of lines) {
      const line = element("p", near ? { class: "near" } : {}, this.box);
      if (run !== undefined) swatch(element("span", { class: "swatch" }, line), run);
      line.append(name);
      element("b", { text: value }, line);
    }
    this.box.hidden = false;
    const { clientWidth: width, clientHeight: height } = this.place, { offsetWidth: w } = this.box;
    this.box.style.left = `${x > width / 2 ? Math.max(0, x - w - 14) : Math.min(width - w, x + 14)}px`;
    this.box.style.top = `${Math.min(Math.max(0, y - 20), height)}px`;
  }
  hide() { this.box.hidden = true; }
}
