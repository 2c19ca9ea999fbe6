import { input } from "../frame/input.js";
import { eachFrame, element, exhibit, language, onChange, percent } from "../frame/kit.js";

const MOST = 15;

exhibit("classes", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const images = blocks[facts.images], { program } = blocks[facts.classify];
  let names = facts.names[language()];
  let x = null, probabilities = new Float32Array(names.length);
  // Many classes: the most probable alone, in their order; few keep their places.
  const rows = Array.from({ length: Math.min(names.length, MOST) }, () => {
    const row = element("li", {}, part("bars")), name = element("span", {}, row);
    const bar = element("i", {}, element("span", { class: "track" }, row));
    return { row, name, bar, value: element("span", { class: "value" }, row) };
  });
  function show() {
    const order = [...names.keys()].sort((a, b) => probabilities[b] - probabilities[a]), listed = names.length > MOST ? order : [...names.keys()];
    rows.forEach(({ row, name, bar, value }, n) => {
      const label = listed[n];
      name.textContent = names[label];
      bar.style.width = `${100 * probabilities[label]}%`;
      value.textContent = percent(probabilities[label], 1);
      row.classList.toggle("most", label === order[0]);
    });
    const surest = probabilities[order[0]];
    part("verdict").textContent = say("verdict", { name: names[order[0]], share: percent(surest, 0), second: names[order[1]] ?? "–" });
  }
  const classify = eachFrame(() => { probabilities = program.run(x)[0].slice(); show(); });
  input(part("input"), images, (values) => { x = values; classify(); });
  onChange(() => { names = facts.names[language()]; show(); });
  return { get probabilities() { return probabilities; }, get input() { return x; } };
});
