import { element, exhibit, magnitude, number, onChange } from "../frame/kit.js";

exhibit("sentences", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const { program } = blocks[facts.encode], { arrays, texts } = blocks[facts.learned], { size, count, names, vocabulary } = facts;
  const { codes, labels, starts, words, weights, idf } = arrays, at = new Map(vocabulary.map((word, n) => [word, n]));
  const vector = new Float32Array(idf.length), own = new Set();
  const lengths = Float32Array.from({ length: count }, (_, n) => magnitude(codes.subarray(n * size, (n + 1) * size)));
  let found = { code: [], words: [] };

  /** The text's words as the training's vectorizer weighs them: (1 + log count) · idf, of length 1. */
  function weigh(text) {
    vector.fill(0);
    own.clear();
    for (const word of text.toLowerCase().match(/[\p{L}\p{N}_]{2,}/gu) ?? []) if (at.has(word)) { vector[at.get(word)]++; own.add(word); }
    let sum = 0;
    vector.forEach((times, n) => { if (times) { vector[n] = (1 + Math.log(times)) * idf[n]; sum += vector[n] ** 2; } });
    if (sum) for (let n = 0; n < vector.length; n++) vector[n] /= Math.sqrt(sum);
  }
  const ranked = (distance) => {
    const distances = Float64Array.from({ length: count }, (_, n) => distance(n));
    return Array.from(distances.keys()).sort((a, b) => distances[a] - distances[b]).slice(0, facts.neighbours).map((n) => [n, distances[n]]);
  };
  function search() {
    weigh(part("sentence").value);
    if (!own.size) { found = { code: [], words: [] }; show(); return; }
    const code = program.run(vector)[0], far = magnitude(code);
    found = {
      code: ranked((n) => { let sum = 0; for (let k = 0; k < size; k++) sum += codes[n * size + k] * code[k]; return 1 - sum / (far * lengths[n] || Infinity); }),
      words: ranked((n) => { let sum = 0; for (let i = starts[n]; i < starts[n + 1]; i++) sum += weights[i] * vector[words[i]]; return 1 - sum; }),
    };
    show();
  }
  /** A text whose words in common with the sentence are marked. */
  function marked(text, into) {
    for (const piece of text.split(/([\p{L}\p{N}_]{2,})/u)) {
      if (own.has(piece.toLowerCase())) element("mark", { text: piece }, into); else into.append(piece);
    }
  }
  function show() {
    for (const [name, results] of Object.entries(found)) {
      part(name).replaceChildren(...results.map(([n, distance]) => {
        const line = element("li");
        element("b", { text: names[labels[n]] ?? "" }, line);
        marked(texts[n], line);
        element("span", { class: "far", text: ` ${number(distance, 3)}` }, line);
        return line;
      }));
    }
    part("known").textContent = own.size ? say("known", { words: [...own].join(", ") }) : say("unknown");
  }
  facts.suggested.forEach((text) => {
    const button = element("button", { text }, part("suggestions"));
    button.addEventListener("click", () => { part("sentence").value = text; search(); });
  });
  part("sentence").addEventListener("input", search);
  part("sentence").value = facts.suggested[0];
  search();
  onChange(show);
  return { vector, get found() { return found; } };
});
