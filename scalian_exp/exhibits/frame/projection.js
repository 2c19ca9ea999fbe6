// Projection: one exhibit on one screen, with text that the last row reads.
import { root } from "./kit.js";

const LARGEST = 1.6; // how much a short exhibit is enlarged at most

const lastPart = (place) => Math.max(1, ...[...place.querySelectorAll("[data-screen]")].map((each) => each.dataset.screen));

/** The screens of a page: the exhibit that a switch shows, or one after the other the parts of it that are marked data-screen="1", "2" …; what isn't marked is on each. */
function screens() {
  return [...document.querySelectorAll(".show")].flatMap((show) => {
    const last = Math.max(...[...show.querySelectorAll("[data-exhibit]")].map(lastPart));
    return Array.from({ length: last }, (_, n) => ({ show, part: n + 1 }));
  });
}

/** Whether part of a table is beyond its edge. */
const cut = (show) => [...show.querySelectorAll("[role=region]")].some((region) => region.scrollWidth > region.clientWidth + 1);

/** Keys and buttons that project: mount(name) brings an exhibit to life. Returns project(number of a screen), −1 ends. */
export function projection(mount) {
  const all = screens(), where = document.querySelector("[data-part=screen]");
  let now = -1;

  /** The text keeps its size or grows; the exhibit takes the width at which it fills most of the screen. */
  function fit(show) {
    show.removeAttribute("style");
    const wide = show.clientWidth, high = innerHeight - show.offsetTop - parseFloat(getComputedStyle(show.parentElement).paddingBottom);
    let best = { filled: 0, width: wide, zoom: 1 };
    for (let width = wide; width >= wide / 2; width -= wide / 64) {
      show.style.width = `${width}px`;
      const height = show.scrollHeight, zoom = Math.min(wide / width, high / height, LARGEST), filled = zoom * zoom * width * height;
      if (zoom >= 1 && filled > 1.05 * best.filled && !cut(show)) best = { filled, width, zoom };
    }
    show.style.width = `${best.width}px`;
    show.style.zoom = best.zoom;
  }

  async function project(at) {
    const before = all[now]?.show, { show, part } = all[at] ?? {}, left = now;
    before?.removeAttribute("style");
    for (const each of document.querySelectorAll(".projected")) each.classList.remove("projected");
    now = show ? at : -1;
    root.toggleAttribute("data-projecting", Boolean(show));
    if (!show) {
      if (document.fullscreenElement) document.exitFullscreen();
      before?.scrollIntoView({ behavior: "instant" });
      return;
    }
    for (const each of [show.closest("article"), show]) each.classList.add("projected");
    for (const place of show.querySelectorAll("[data-exhibit]")) {
      const shown = Math.min(part, lastPart(place));
      for (const each of place.querySelectorAll("[data-screen]")) each.classList.toggle("on-screen", Number(each.dataset.screen) === shown);
    }
    where.textContent = `${at + 1} / ${all.length}`;
    await mount(show.querySelector("[data-exhibit]:not([hidden])").dataset.exhibit);
    if (now !== at) return; // the reader has gone on
    fit(show);
    if (left !== at) scrollTo({ top: 0, behavior: "instant" });
  }

  /** To the rest of an exhibit that is longer than the screen, else to the next screen; back likewise. */
  function turn(by) {
    const before = scrollY;
    scrollBy({ top: by * 0.8 * innerHeight, behavior: "instant" });
    if (Math.abs(scrollY - before) < 2) project(Math.min(Math.max(now + by, 0), all.length - 1));
  }
  function toggle() {
    if (now >= 0) { project(-1); return; }
    const seen = all.findIndex(({ show }) => show.getBoundingClientRect().bottom > innerHeight / 2);
    project(Math.max(seen, 0));
    root.requestFullscreen?.().catch(() => {}); // where it is not allowed, the window is the screen
  }
  document.querySelector("[data-do=project]").addEventListener("click", toggle);
  document.querySelector("[data-do=previous]").addEventListener("click", () => turn(-1));
  document.querySelector("[data-do=next]").addEventListener("click", () => turn(1));
  const keys = { Escape: () => project(-1), PageDown: () => turn(1), PageUp: () => turn(-1) };
  addEventListener("keydown", (event) => {
    const typing = /^(input|textarea|select)$/i.test(event.target.tagName) && event.target.type !== "range";
    const does = event.key === "p" && !typing ? toggle : now >= 0 && keys[event.key];
    if (!does || event.ctrlKey || event.metaKey || event.altKey) return;
    does();
    event.preventDefault();
  });
  const again = () => { if (now >= 0) project(now); };
  addEventListener("resize", again);
  document.addEventListener("fullscreenchange", () => { if (!document.fullscreenElement && now >= 0) project(-1); }); // as by escape
  root.addEventListener("languagechange", again);
  return { project, again, screens: all };
}
