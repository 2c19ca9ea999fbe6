// The figures of all runs side by side, with one slider over the epochs.
import { eachFrame, element } from "../../pages/dom.js";
import { data, kept, on, onRuns, own, part, swatch } from "./runs.js";

/** The last of the figures [[epoch, picture]] that was drawn by an epoch; the first if there is none. */
export function drawnBy(figures, epoch) {
  return figures.findLast(([drawn]) => drawn <= epoch) ?? figures[0];
}

export function figures() {
  const place = part("pictures");
  if (!place) return;
  const kind = part("kind"), slider = part("epoch"), shown = part("epoch-shown"), size = part("size"), large = part("large");
  let urls = null, epochs = [];
  const picture = (n) => (urls ??= JSON.parse(document.getElementById("pictures").textContent))[n];
  const chosen = () => data.kinds[kind.value].runs;

  function caption(run, epoch) {
    return epoch ? `after ${epoch} epoch${epoch > 1 ? "s" : ""}` : data.kinds[kind.value].name.startsWith("test_") ? "at the end" : "the last drawn";
  }
  function open(run, epoch, url, alt) {
    Object.assign(large.querySelector("img"), { src: url, alt });
    large.querySelector("p").textContent = `${data.runs[run].name}, ${caption(run, epoch)}`;
    large.showModal();
  }
  const tiles = {};
  function rebuild() {
    const runs = chosen();
    epochs = [...new Set(Object.values(runs).flatMap((all) => all.map(([epoch]) => epoch)))].sort((one, other) => one - other);
    part("by-epoch").hidden = epochs.length < 2;
    slider.max = epochs.length - 1;
    slider.value = epochs.length - 1;
    place.replaceChildren();
    for (const key in tiles) delete tiles[key];
    for (const key of Object.keys(runs)) {
      const run = Number(key), figure = element("figure", { "data-run": run }, place), name = element("figcaption", {}, figure);
      swatch(element("span", { class: "swatch" }, name), run);
      if (data.runs.length > 1) name.append(`${data.runs[run].name} `);
      const when = element("span", { class: "when" }, name), button = element("button", {}, figure), image = element("img", { loading: "lazy", decoding: "async" }, button);
      tiles[run] = { figure, when, image, button };
      button.addEventListener("click", () => open(run, tiles[run].epoch, image.src, image.alt));
    }
    update();
  }
  function update() {
    const until = epochs[slider.value];
    shown.textContent = until;
    slider.setAttribute("aria-valuetext", `after epoch ${until}`);
    for (const [key, tile] of Object.entries(tiles)) {
      const run = Number(key), [epoch, n] = drawnBy(chosen()[key], until);
      tile.figure.hidden = !on.has(run);
      tile.epoch = epoch;
      tile.when.textContent = caption(run, epoch);
      const alt = `${data.kinds[kind.value].name.replaceAll("_", " ")} of ${data.runs[run].name}, ${caption(run, epoch)}`;
      if (tile.image.alt !== alt || !tile.image.src) Object.assign(tile.image, { src: picture(n), alt });
      tile.button.setAttribute("aria-label", `Enlarge ${alt}`);
    }
  }
  const resize = () => { place.style.setProperty("--size", `${size.value}rem`); };
  size.value = kept.get(own("size"), data.runs.length > 12 ? 14 : 22);
  size.addEventListener("input", () => { resize(); kept.set(own("size"), size.value); });
  kind.addEventListener("change", rebuild);
  slider.addEventListener("input", eachFrame(update));
  large.addEventListener("click", ({ target }) => { if (target === large) large.close(); });
  onRuns(update);
  resize();
  new IntersectionObserver(([entry], observer) => { if (entry.isIntersecting) { observer.disconnect(); rebuild(); } }, { rootMargin: "600px" }).observe(place);
  addEventListener("beforeprint", () => { if (!Object.keys(tiles).length) rebuild(); });
}
