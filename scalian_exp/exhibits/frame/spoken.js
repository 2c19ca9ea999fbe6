// What a screen reader says of an exhibit.

const SETTLED = 1000; // milliseconds

/** Has regions marked with data-live read out once they no longer change, as when an animation ends. */
export function announce(place) {
  const spoken = document.createElement("p"), changed = new Set();
  spoken.className = "away";
  spoken.setAttribute("aria-live", "polite");
  place.append(spoken);
  let timer = 0;
  const observer = new MutationObserver((records) => {
    for (const { target } of records) changed.add((target.closest ? target : target.parentElement).closest("[data-live]"));
    clearTimeout(timer);
    timer = setTimeout(() => { spoken.textContent = [...changed].map((region) => region.innerText).join(" "); changed.clear(); }, SETTLED);
  });
  for (const region of place.querySelectorAll("[data-live]")) observer.observe(region, { childList: true, characterData: true, subtree: true });
  document.documentElement.addEventListener("languagechange", () => observer.takeRecords()); // a translation is no news
}
