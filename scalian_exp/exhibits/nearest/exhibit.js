import { input } from "../frame/input.js";
import { Pixels, eachFrame, element, exhibit, magnitude, number, onChange } from "../frame/kit.js";

exhibit("nearest", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const images = blocks[facts.images], encode = blocks[facts.encode].program, learned = blocks[facts.learned];
  const [channels, height, width] = images.shape, size = channels * height * width, { codes, labels } = learned.arrays;
  const pixels = learned.arrays.images; // 0 … 255: a cosine is the same
  const lengths = { code: norms(codes, facts.size), pixels: norms(pixels, size) };
  let x = null, found = {};

  function norms(rows, length) {
    return Float32Array.from({ length: learned.count }, (_, n) => magnitude(rows.subarray(n * length, (n + 1) * length)));
  }
  /** The nearest rows of a matrix, by 1 − cosine; 1 for a vector of zeros: [[number, distance], …] */
  function nearest(name, rows, length, query) {
    const own = magnitude(query);
    const distances = Float64Array.from({ length: learned.count }, (_, n) => {
      let sum = 0;
      for (let i = 0, at = n * length; i < length; i++, at++) sum += rows[at] * query[i];
      return 1 - sum / (own * lengths[name][n] || Infinity);
    });
    const order = Array.from(distances.keys()).sort((a, b) => distances[a] - distances[b]).slice(0, facts.neighbours);
    return order.map((n) => [n, distances[n]]);
  }
  const strips = ["code", "pixels"].map((name) => ({ name, pictures: Array.from({ length: Math.min(facts.neighbours, learned.count) }, () => {
    const figure = element("figure", {}, part(name)), canvas = element("canvas", { class: "dots", role: "img" }, figure);
    return { figure, canvas, picture: new Pixels(canvas, width, height), caption: element("figcaption", {}, figure) };
  }) }));
  const nameOf = (n) => (labels[n] < 0 ? "" : images.names[labels[n]]);

  function show() {
    for (const { name, pictures } of strips) {
      const votes = {};
      for (const [n] of found[name]) votes[nameOf(n)] = (votes[nameOf(n)] ?? 0) + 1;
      const [common, count] = Object.entries(votes).sort((a, b) => b[1] - a[1])[0];
      found[name].forEach(([n, distance], at) => {
        const { figure, canvas, picture, caption } = pictures[at], class_ = nameOf(n);
        picture.show(Float32Array.from(pixels.subarray(n * size, (n + 1) * size), (value) => value / 255), images);
        canvas.setAttribute("aria-label", say("neighbour", { rank: at + 1, name: class_ }));
        caption.replaceChildren(element("b", { text: class_ }), say("distance", { distance: number(distance, 3) }));
        figure.classList.toggle("common", class_ !== "" && class_ === common);
      });
      part(`${name}-classes`).textContent = common ? say("common", { count, of: found[name].length, name: common }) : "";
    }
  }
  const search = eachFrame(() => {
    found = { code: nearest("code", codes, facts.size, encode.run(x)[0]), pixels: nearest("pixels", pixels, size, x) };
    show();
  });
  input(part("input"), images, (values) => { x = values; search(); });
  onChange(() => { if (found.code) show(); });
  return { get found() { return found; }, get input() { return x; } };
});
