// The frame of a plot: axes, and where the pointer is.
import { svg } from "../../pages/dom.js";
import { short } from "./scales.js";

export const WIDTH = 460, HEIGHT = 270, LEFT = 58, RIGHT = 12, TOP = 10, BOTTOM = 38;

export function plot(place, label, width = WIDTH, height = HEIGHT) {
  return svg("svg", { class: "plot", viewBox: `0 0 ${width} ${height}`, tabindex: 0, role: "application", "aria-label": label }, place);
}

/** Draw the grid and the numbers of both axes. */
export function axes(target, x, y, xlabel, ylabel = "") {
  const group = svg("g", { "aria-hidden": true }, target);
  for (const value of y.ticks) {
    svg("path", { class: "grid", d: `M${LEFT} ${y(value)}H${WIDTH - RIGHT}` }, group);
    svg("text", { x: LEFT - 6, y: y(value), dy: ".35em", "text-anchor": "end" }, group).textContent = short(value);
  }
  for (const value of x.ticks) svg("text", { x: x(value), y: HEIGHT - BOTTOM + 15, "text-anchor": "middle" }, group).textContent = short(value, 6);
  svg("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 6, "text-anchor": "middle" }, group).textContent = xlabel;
  if (ylabel) svg("text", { x: 12, y: (TOP + HEIGHT - BOTTOM) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(TOP + HEIGHT - BOTTOM) / 2})` }, group).textContent = ylabel;
}

/** Where an event is in a plot: in its own units, and in pixels of the element that holds it. */
export function pointed(event, target) {
  const box = target.getBoundingClientRect(), outer = target.parentElement.getBoundingClientRect(), [, , width, height] = target.getAttribute("viewBox").split(" ").map(Number);
  return {
    x: ((event.clientX - box.left) / box.width) * width, y: ((event.clientY - box.top) / box.height) * height,
    left: event.clientX - outer.left, top: event.clientY - outer.top,
  };
}
