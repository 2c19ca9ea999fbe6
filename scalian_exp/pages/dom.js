// What all pages share: elements, groups of buttons, copying, and what a page remembers.

const SVG = "http://www.w3.org/2000/svg";
export function svg(tag, attributes = {}, parent = null) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  parent?.append(element);
  return element;
}
export function element(tag, attributes = {}, parent = null) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "text") made.textContent = value; else made.setAttribute(name, value);
  }
  parent?.append(made);
  return made;
}

/** A group of buttons of which one is pressed. */
export function choice(group, chosen) {
  const buttons = [...group.querySelectorAll("button")];
  const set = (value) => {
    for (const button of buttons) {
      const on = button.value === value;
      button.setAttribute("aria-checked", on);
      button.tabIndex = on ? 0 : -1;
    }
  };
  group.setAttribute("role", "radiogroup");
  buttons.forEach((button, at) => {
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => { set(button.value); chosen(button.value); });
    button.addEventListener("keydown", (event) => {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (!by) return;
      const next = buttons[(at + by + buttons.length) % buttons.length];
      next.focus();
      next.click();
      event.preventDefault();
    });
  });
  set((buttons.find((button) => button.getAttribute("aria-checked") === "true") ?? buttons[0]).value);
  return set;
}

/** At most one call a frame, with the last arguments. */
export function eachFrame(callback) {
  let waiting = null;
  return (...values) => {
    if (!waiting) requestAnimationFrame(() => { const last = waiting; waiting = null; callback(...last); });
    waiting = values;
  };
}

/** Make buttons copy the code before them; copied() is what they say for a moment. */
export function copying(copied) {
  for (const button of document.querySelectorAll("[data-copy]")) button.addEventListener("click", () => copy(button, copied));
}
async function copy(button, copied) {
  const code = button.previousElementSibling, range = document.createRange();
  range.selectNodeContents(code);
  getSelection().removeAllRanges();
  getSelection().addRange(range);
  try { await navigator.clipboard.writeText(code.textContent); } catch { document.execCommand("copy"); }
  const inner = [...button.childNodes];
  button.replaceChildren(copied());
  setTimeout(() => button.replaceChildren(...inner), 1400);
}

/** Values that a page keeps under a name for when it is opened again; a page from disk may have no memory. */
export function memory(name) {
  let kept = {};
  try { kept = JSON.parse(localStorage.getItem(name) ?? "{}") ?? {}; } catch { /* no memory */ }
  return {
    get: (key, otherwise) => kept[key] ?? otherwise,
    set(key, value) {
      kept[key] = value;
      try { localStorage.setItem(name, JSON.stringify(kept)); } catch { /* no memory */ }
    },
  };
}
