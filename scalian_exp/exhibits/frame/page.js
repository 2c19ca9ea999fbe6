import { unpack } from "./arrays.js";
import { copying } from "../../pages/dom.js";
import { Program } from "./engine.js";
import { choice, language, mounted, number, onChange, root, speaker } from "./kit.js";
import { projection } from "./projection.js";

const read = (id) => JSON.parse(document.getElementById(id).textContent);
const at = (name) => document.querySelector(`[data-exhibit="${name}"]`);
const say = speaker(read("page-words")), titles = read("page-titles"), live = {}, deviations = {};

function remember() {
  try { localStorage.setItem("exhibits", JSON.stringify({ lang: root.lang, theme: root.dataset.theme })); } catch { /* no memory */ }
}
/** Names that only listeners hear, and words on buttons. */
function label() {
  document.title = titles[language()];
  for (const target of document.querySelectorAll("[data-word-label]")) target.setAttribute("aria-label", say(target.dataset.wordLabel));
  for (const name of ["language", "theme"]) document.querySelector(`[data-choice=${name}]`).setAttribute("aria-label", say(name));
  for (const [name, { say: speak }] of Object.entries(live))
    for (const target of at(name).querySelectorAll("[data-label]")) target.setAttribute("aria-label", speak(target.dataset.label));
  tellChecks();
}
function tellChecks() {
  const values = Object.values(deviations);
  document.querySelector("[data-part=checks]").textContent =
    values.length ? say("checks", { off: number(Math.max(...values), 6), programs: number(values.length) }) : "";
}
const setLanguage = choice(document.querySelector("[data-choice=language]"), (value) => { root.lang = value; remember(); root.dispatchEvent(new Event("languagechange")); });
const setTheme = choice(document.querySelector("[data-choice=theme]"), (value) => { root.dataset.theme = value; remember(); root.dispatchEvent(new Event("themechange")); });
setLanguage(root.lang);
setTheme(root.dataset.theme);
onChange(label);

/** Note how far a computation is from torch's; too far, and the exhibits that use it say so. */
function judge(name, deviation) {
  deviations[name] = deviation;
  tellChecks();
  if (deviation < 1e-3) return;
  for (const [exhibit, { used }] of Object.entries(live)) if (exhibit === name || used.includes(name)) warn(exhibit, say("wrong", { off: number(deviation, 4) }));
}
function warn(exhibit, text) {
  const place = at(exhibit);
  place.dataset.failed = "";
  place.prepend(Object.assign(document.createElement("p"), { className: "failed", textContent: text }));
}

const opening = {};
/** A block of the page: its arrays, facts about them, and its program where it has one; unpacked once. */
const block = (name) => (opening[name] ??= (async () => {
  const { index, program, weights, names, ...about } = read(`block-${name}-about`);
  if (names) Object.defineProperty(about, "names", { enumerable: true, get: () => names[language()] });
  const arrays = await unpack(document.getElementById(`block-${name}`).textContent, index);
  if (!program) return { arrays, ...about };
  const made = new Program(program, { ...(await block(weights)).arrays, ...arrays });
  setTimeout(() => judge(name, made.check()), 50);
  return { arrays, program: made, ...about };
})());

const mounting = {};
/** Bring an exhibit to life, once. */
const mount = (name) => (mounting[name] ??= (async () => {
  const place = at(name), { facts, words, blocks: names } = read(`${name}-facts`), speak = speaker(words), used = Object.values(names);
  try {
    const opened = await Promise.all(used.map(block)), began = performance.now();
    const blocks = Object.fromEntries(Object.keys(names).map((each, n) => [each, opened[n]]));
    live[name] = { say: speak, blocks, facts, used };
    live[name].exhibit = mounted()[place.dataset.kind](place, { blocks, facts, say: speak });
    place.dataset.ready = "";
    live[name].ms = performance.now() - began;
    label();
    const check = live[name].exhibit?.check;
    if (check) setTimeout(() => judge(name, check()), 50);
  } catch (error) {
    warn(name, say("failed", { reason: error.message }));
    throw error;
  }
})());
const all = [...document.querySelectorAll("[data-exhibit]")];
const near = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) if (isIntersecting) { near.unobserve(target); mount(target.dataset.exhibit); }
}, { rootMargin: "150% 0px" });
all.forEach((place) => near.observe(place));
const mountAll = () => Promise.all(all.map((place) => mount(place.dataset.exhibit)));

// All that can be seen comes to life while the reader is idle, so that nothing is missing on paper.
const idle = (callback) => (globalThis.requestIdleCallback ? requestIdleCallback(callback, { timeout: 200 }) : setTimeout(callback, 200));
const mountRest = (left) => {
  if (left.length) mount(left[0].dataset.exhibit).finally(() => idle(() => mountRest(left.slice(1))));
  else setTimeout(() => { document.querySelector("[data-part=checked]").textContent = document.querySelector("[data-part=checks]").textContent; }, 500); // said once, when all are checked
};
addEventListener("load", () => idle(() => mountRest(all.filter((place) => !place.hidden))));

const { project, again, screens: screensOf } = projection(mount);

// Of several exhibits of a kind, one is shown.
for (const group of document.querySelectorAll("[data-switch]")) {
  group.setAttribute("aria-labelledby", (group.previousElementSibling.id = `switch-${group.querySelector("button").value}`));
  choice(group, async (name) => {
    for (const place of group.closest(".show").querySelectorAll("[data-exhibit]")) place.hidden = place.dataset.exhibit !== name;
    await mount(name);
    at(name).dispatchEvent(new Event("shown"));
    again();
  });
}

// Paper is white, whatever the screen is.
let onScreen = null;
function theme(name) { root.dataset.theme = name; root.dispatchEvent(new Event("themechange")); }
addEventListener("beforeprint", () => { onScreen = root.dataset.theme; mountAll(); if (onScreen !== "light") theme("light"); });
addEventListener("afterprint", () => { if (onScreen !== "light") theme(onScreen); });

// A chosen chapter closes the menu, as do a click elsewhere and escape.
const menu = document.querySelector("details.menu");
if (menu) {
  document.addEventListener("click", ({ target }) => { if (!menu.contains(target) || target.closest("a")) menu.open = false; });
  menu.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape" || !menu.open) return;
    menu.open = false;
    menu.querySelector("summary").focus();
  });
}

copying(() => say("copied"));
label();
globalThis.page = { live, deviations, mount, mountAll, project, screens: screensOf, block };
