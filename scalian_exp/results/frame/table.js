// The table of runs: sorted, its columns folded, and a switch for each run.
import { bring, data, kept, on, onBring, onRuns, own, part, show } from "./runs.js";

const table = document.querySelector("table.sortable"), body = table.tBodies[0], rows = [...body.rows];
const heads = [...table.tHead.rows[0].cells];

function value(row, name) {
  return (name === "run" ? row.cells[0] : row.querySelector(`[data-column="${CSS.escape(name)}"]`)).dataset.value;
}
/** Numbers by size, texts by their letters and numbers; what is missing comes last. */
export function compare(one, other, up) {
  if (one === other) return 0;
  if (one === "" || other === "") return one === "" ? 1 : -1;
  const difference = isNaN(one) || isNaN(other) ? one.localeCompare(other, "en", { numeric: true }) : one - other;
  return up ? difference : -difference;
}
export function sort(name, up) {
  const head = heads.find((cell) => cell.firstChild.dataset.sort === name);
  if (!head) return;
  for (const cell of heads) cell.setAttribute("aria-sort", cell === head ? (up ? "ascending" : "descending") : "none");
  body.append(...[...rows].sort((one, other) => compare(value(one, name), value(other, name), up)));
  kept.set(own("sort"), [name, up]);
}
function fold(name, hidden) {
  for (const cell of table.querySelectorAll(`[data-column="${CSS.escape(name)}"]`)) cell.hidden = hidden;
}
function matches(row, words) {
  const text = row.textContent.toLowerCase();
  return words.every((word) => text.includes(word));
}

export function runsTable() {
  for (const cell of heads) cell.firstChild.addEventListener("click", () => {
    const name = cell.firstChild.dataset.sort, better = data.axes.find((axis) => axis.name === name)?.direction;
    const first = better !== 1; // the best first
    sort(name, cell.getAttribute("aria-sort") === "none" ? first : cell.getAttribute("aria-sort") === "descending");
  });
  const sorted = kept.get(own("sort"), null);
  if (sorted) sort(...sorted);

  const boxes = [...document.querySelectorAll(".columns input")], chosen = kept.get(own("columns"), {});
  for (const box of boxes) {
    if (box.value in chosen) { box.checked = chosen[box.value]; fold(box.value, !box.checked); }
    box.addEventListener("change", () => { fold(box.value, !box.checked); chosen[box.value] = box.checked; kept.set(own("columns"), chosen); });
  }

  for (const row of rows) {
    const run = Number(row.dataset.run), box = row.querySelector("input");
    box.addEventListener("change", () => show(box.checked ? [...on, run] : [...on].filter((other) => other !== run)));
    row.addEventListener("pointerenter", () => bring(run));
    row.addEventListener("pointerleave", () => bring(null));
  }
  onBring((run) => rows.forEach((row) => row.classList.toggle("brought", Number(row.dataset.run) === run)));
  onRuns(() => {
    for (const row of rows) {
      const shown = on.has(Number(row.dataset.run));
      row.classList.toggle("off", !shown);
      row.querySelector("input").checked = shown;
    }
    tell();
  });
  const tell = () => { part("count").textContent = rows.length > 1 ? `${on.size} of ${rows.length} runs are shown below` : ""; };
  tell();

  const press = (name, act) => document.querySelector(`[data-do="${name}"]`)?.addEventListener("click", act);
  press("all", () => show(data.runs.keys()));
  press("none", () => show([]));
  press("differences", ({ target }) => {
    for (const each of document.querySelectorAll(".differences [hidden]")) each.hidden = false;
    target.remove();
  });
  part("filter")?.addEventListener("input", ({ target }) => {
    const words = target.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of rows) row.hidden = !matches(row, words);
    show(rows.filter((row) => !row.hidden).map((row) => Number(row.dataset.run)));
  });
  for (const button of document.querySelectorAll("[data-runs]")) {
    button.addEventListener("click", () => show(button.dataset.runs.split(" ").map(Number)));
  }
}
