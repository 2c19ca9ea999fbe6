import { element, exhibit, number, onChange } from "../frame/kit.js";

const RECOMMENDED = 10, MATCHES = 80;

/** Solves A w = b, A symmetric and positive definite (n, n), by Cholesky's decomposition. */
function solve(matrix, right) {
  const n = right.length, lower = new Float64Array(n * n), w = Float64Array.from(right);
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = matrix[i * n + j];
      for (let k = 0; k < j; k++) sum -= lower[i * n + k] * lower[j * n + k];
      lower[i * n + j] = i === j ? Math.sqrt(sum) : sum / lower[j * n + j];
    }
  }
  for (let i = 0; i < n; i++) { for (let k = 0; k < i; k++) w[i] -= lower[i * n + k] * w[k]; w[i] /= lower[i * n + i]; }
  for (let i = n - 1; i >= 0; i--) { for (let k = i + 1; k < n; k++) w[i] -= lower[k * n + i] * w[k]; w[i] /= lower[i * n + i]; }
  return w;
}

exhibit("tastes", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const { arrays: { x, offset, directions, counts, implied }, titles } = blocks[facts.table], { rank, items, ridge } = facts;
  const given = new Map(); // item → its rating
  let scores = null, weights = null;

  /** Ridge regression of the reader's weights on the ratings given; without any, the average reader's. */
  function predict() {
    const gram = new Float64Array(rank * rank), right = new Float64Array(rank);
    for (let k = 0; k < rank; k++) gram[k * rank + k] = ridge;
    for (const [item, rating] of given)
      for (let k = 0; k < rank; k++) {
        const value = x[item * rank + k];
        right[k] += value * (facts.rated ? rating - offset[item] : rating === facts.high ? facts.push : -facts.push); // scores aren't ratings
        if (implied) right[k] += ridge * implied[item * rank + k] / Math.sqrt(given.size);
        for (let j = 0; j < rank; j++) gram[k * rank + j] += value * x[item * rank + j];
      }
    weights = solve(gram, right);
    scores = Float64Array.from({ length: items }, (_, item) => { let sum = offset[item]; for (let k = 0; k < rank; k++) sum += x[item * rank + k] * weights[k]; return sum; });
    show();
  }
  function rate(item, rating) {
    if (given.get(item) === rating) given.delete(item); else given.set(item, rating);
    predict();
    list();
  }
  function list() {
    part("search").placeholder = say("search");
    const wanted = part("search").value.trim().toLowerCase();
    const chosen = [...given.keys()], matching = wanted ? [...titles.keys()].filter((item) => counts[item] > 0 && titles[item].toLowerCase().includes(wanted)).sort((a, b) => counts[b] - counts[a]).slice(0, MATCHES) : facts.listed;
    const focused = document.activeElement?.dataset?.key, top = part("titles").scrollTop;
    part("titles").replaceChildren(...[...new Set([...(wanted ? [] : chosen), ...matching])].map((item) => {
      const line = element("div", { class: "title" });
      element("span", { text: titles[item] }, line);
      for (const [name, sign, rating] of [["like", "+", facts.high], ["dislike", "−", facts.low]]) {
        const button = element("button", { class: name, text: sign, "aria-pressed": given.get(item) === rating, "aria-label": say(name, { title: titles[item] }), "data-key": `${name}${item}` }, line);
        button.addEventListener("click", () => rate(item, rating));
      }
      return line;
    }));
    part("titles").scrollTop = top;
    if (focused) part("titles").querySelector(`[data-key="${focused}"]`)?.focus({ preventScroll: true });
  }
  const [lowest, highest] = facts.levels;
  function show() {
    const best = [...titles.keys()].filter((item) => !given.has(item) && counts[item] > 0).sort((a, b) => scores[b] - scores[a]).slice(0, RECOMMENDED);
    part("recommended").replaceChildren(...best.map((item) => {
      const line = element("li");
      if (facts.rated) element("span", { class: "score", text: number(Math.min(Math.max(scores[item] - facts.shift, lowest), highest), 2) }, line);
      line.append(titles[item]);
      return line;
    }));
    part("features").replaceChildren(...facts.ends.map(([more, less], feature) => {
      let along = -facts.usual[feature];
      for (let k = 0; k < rank; k++) along += directions[feature * rank + k] * weights[k];
      along /= facts.spread[feature] || 1; // in standard deviations of the known users
      const share = Math.max(-1, Math.min(1, along / 3)) * 50, row = element("div", { class: "feature" });
      element("span", { class: "less", text: less.join(" · ") }, row);
      const track = element("span", { class: "track", role: "img", "aria-label": say("feature", { number: feature + 1, value: number(along, 2) }) }, row);
      element("i", { style: `left: ${50 + Math.min(share, 0)}%; width: ${Math.abs(share)}%` }, track);
      element("span", { class: "more", text: more.join(" · ") }, row);
      return row;
    }));
  }
  part("search").addEventListener("input", list);
  place.querySelector("[data-do=clear]").addEventListener("click", () => { given.clear(); predict(); list(); });
  for (const item of facts.listed.slice(0, 2)) given.set(item, facts.high);
  predict();
  list();
  onChange(() => { show(); list(); });
  return { given, rate, get scores() { return scores; }, get weights() { return weights; } };
});
