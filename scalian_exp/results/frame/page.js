import { choice, copying } from "../../pages/dom.js";
import { curves, smoothed } from "./curves.js";
import { figures } from "./figures.js";
import { ending, parallel, shortened } from "./parallel.js";
import { kept, on, root, show, swatch } from "./runs.js";
import { front, scatter } from "./scatter.js";
import { runsTable } from "./table.js";

for (const place of document.querySelectorAll(".swatch")) swatch(place, Number(place.dataset.run));
choice(document.querySelector("[data-choice=theme]"), (value) => { root.dataset.theme = value; kept.set("theme", value); })(root.dataset.theme);
copying(() => "Copied");

// A menu closes on a click elsewhere and on escape.
for (const menu of document.querySelectorAll("details.menu")) {
  document.addEventListener("click", ({ target }) => { if (!menu.contains(target)) menu.open = false; });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

// Paper is white, whatever the screen is.
let onScreen = null;
addEventListener("beforeprint", () => { onScreen = root.dataset.theme; root.dataset.theme = "light"; });
addEventListener("afterprint", () => { root.dataset.theme = onScreen; });

runsTable();
const charts = curves();
scatter();
globalThis.report = { charts, on, show, smoothed, front, ending, shortened, parallel: parallel() };
figures();
