import { generator } from "../frame/arrays.js";
import { input } from "../frame/input.js";
import { Pixels, choice, classColour, eachFrame, element, exhibit, gradually, legend, number, onChange, svg } from "../frame/kit.js";

const RANDOM = 12, TILES = 15, BOX = 400, WIDE = 400, HIGH = 200, REACH = 3.2;

exhibit("codes", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const { images, plane, encode, decode } = Object.fromEntries(["images", "plane", "encode", "decode"].map((name) => [name, blocks[facts[name]]]));
  const { points, labels, middle, axes, mean, deviation, spread } = plane.arrays, { size } = facts;
  const [, height, width] = images.shape, image = (name) => new Pixels(part(name), width, height);
  const output = image("output"), pca = image("pca");
  const code = new Float32Array(size), encoded = new Float32Array(size);
  let input_ = null, held = 0, seed = 1, noise = [];

  const decoded = (z) => decode.program.run(z)[0];
  const distance = (x, y) => x.reduce((sum, value, i) => sum + (value - y[i]) ** 2, 0);
  /** The reconstruction by principal components, of as many numbers as the code has. */
  function principal(x) {
    const { pca: components, pca_mean: centre } = plane.arrays, length = centre.length, result = Float32Array.from(centre);
    for (let k = 0; k < facts.components; k++) {
      let along = 0;
      for (let i = 0; i < length; i++) along += (x[i] - centre[i]) * components[k * length + i];
      for (let i = 0; i < length; i++) result[i] += along * components[k * length + i];
    }
    return result;
  }

  part("pca").closest(".panel").hidden = !facts.components;

  // the plane: two directions of largest variance, and where the code lies in it
  const onPlane = (z) => [0, 1].map((a) => z.reduce((sum, value, k) => sum + (value - middle[k]) * axes[a * size + k], 0));
  let reach = 0;
  for (const value of points) reach = Math.max(reach, Math.abs(value));
  reach *= 1.06;
  const toBox = ([x, y]) => [BOX / 2 + (x * BOX) / (2 * reach), BOX / 2 - (y * BOX) / (2 * reach)];
  const fromBox = ([x, y]) => [((x - BOX / 2) * 2 * reach) / BOX, -((y - BOX / 2) * 2 * reach) / BOX];
  /** Moves the code within the plane; what is across it stays. */
  function moveTo(to, from = code) {
    const at = onPlane(from), moved = Float32Array.from(from);
    for (let k = 0; k < size; k++) for (let a = 0; a < 2; a++) moved[k] += (to[a] - at[a]) * axes[a * size + k];
    return moved;
  }
  const classes = Math.max(1, images.names.length), clouds = [];
  for (let label = 0; label < classes; label++) {
    let path = "";
    for (let i = 0; i < labels.length; i++) {
      if (labels[i] !== label && images.names.length) continue;
      const [x, y] = toBox([points[2 * i], points[2 * i + 1]]);
      path += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
    }
    clouds.push(svg("path", { d: path, class: "cloud", style: `stroke: ${classColour(label)}` }, part("plane")));
  }
  const cross = svg("g", { class: "cursor" }, part("plane"));
  svg("circle", { r: 9 }, cross);
  svg("path", { d: "M-15 0H-4M15 0H4M0 -15V-4M0 15V4" }, cross);
  legend(part("legend"), () => images.names, (only) => clouds.forEach((cloud, label) => cloud.classList.toggle("faint", only !== null && only !== label)));

  // the code as bars
  const step = WIDE / size, scale = (k) => HIGH / 2 / (REACH * (deviation[k] || 1));
  const high = (k, value) => HIGH / 2 - (value - mean[k]) * scale(k);
  const bars = Array.from({ length: size }, (_, k) => {
    svg("rect", { x: k * step, width: step, y: high(k, mean[k] + deviation[k]), height: 2 * deviation[k] * scale(k), class: "bar-band" }, part("bars"));
    return svg("rect", { x: k * step + 0.1 * step, width: 0.8 * step, class: "bar-value" }, part("bars"));
  });
  svg("path", { d: `M0 ${HIGH / 2}H${WIDE}`, class: "zero" }, part("bars"));

  function show() {
    const result = decoded(code);
    output.show(result, images);
    bars.forEach((bar, k) => {
      const top = Math.min(Math.max(high(k, code[k]), 2), HIGH - 2);
      bar.setAttribute("y", Math.min(top, HIGH / 2));
      bar.setAttribute("height", Math.abs(HIGH / 2 - top));
      bar.classList.toggle("below", code[k] < mean[k]);
      bar.classList.toggle("bar-changed", Math.abs(code[k] - encoded[k]) > 1e-4);
    });
    cross.setAttribute("transform", `translate(${toBox(onPlane(code)).map((v) => Math.min(Math.max(v, 4), BOX - 4).toFixed(1)).join(" ")})`);
    part("value").textContent = say("value", { index: held + 1, size, value: number(code[held], 2) });
    const changed = code.some((value, k) => Math.abs(value - encoded[k]) > 1e-4);
    part("error").textContent = changed ? say("changed") : say("error", { error: number(distance(result, input_), 1) });
  }
  const later = eachFrame(show);
  const setCode = (z) => { code.set(z); later(); };

  input(part("input"), images, (values) => {
    input_ = values;
    encoded.set(encode.program.run(values)[0]);
    code.set(encoded);
    const other = principal(values);
    pca.show(other.map((v) => Math.min(Math.max(v, 0), 1)), images);
    part("pca-error").textContent = say("error", { error: number(distance(other, values), 1) });
    show();
  });

  /** Pointers on an SVG: at(x, y) in its own units while pressed. */
  function dragged(target, wide, tall, at) {
    let down = false;
    const point = (event) => {
      const box = target.getBoundingClientRect();
      at(Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * wide, Math.min(Math.max((event.clientY - box.top) / box.height, 0), 1) * tall);
    };
    target.addEventListener("pointerdown", (event) => { down = true; target.setPointerCapture(event.pointerId); point(event); target.focus({ preventScroll: true }); event.preventDefault(); });
    target.addEventListener("pointermove", (event) => { if (down) point(event); });
    for (const end of ["pointerup", "pointercancel"]) target.addEventListener(end, () => { down = false; });
  }
  dragged(part("bars"), WIDE, HIGH, (x, y) => {
    held = Math.min(size - 1, (x / step) | 0);
    code[held] = mean[held] + (HIGH / 2 - y) / scale(held);
    later();
  });
  dragged(part("plane"), BOX, BOX, (x, y) => setCode(moveTo(fromBox([x, y]))));
  const keys = (target, act) => target.addEventListener("keydown", (event) => {
    const way = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
    if (!way) return;
    act(...way, event.shiftKey ? 4 : 1);
    event.preventDefault();
  });
  keys(part("bars"), (right, up, by) => {
    held = Math.min(Math.max(held + right, 0), size - 1);
    code[held] += up * by * 0.1 * deviation[held];
    later();
  });
  keys(part("plane"), (right, up, by) => {
    const [x, y] = onPlane(code), far = 0.02 * by * reach;
    setCode(moveTo([x + right * far, y + up * far]));
  });
  place.querySelector("[data-do=reset]").addEventListener("click", () => setCode(encoded));

  const shelf = new Pixels(part("tiles"), TILES * width, TILES * height), decodeTiles = gradually();
  let decodedTiles = null;
  function tiles() {
    const [channels] = images.shape, wide = TILES * width, total = TILES * TILES * height * width;
    const show = () => shelf.show(decodedTiles, images);
    if (decodedTiles) { show(); return; }
    decodedTiles = new Float32Array(channels * total);
    decodeTiles(Array.from({ length: TILES }, (_, r) => r).flatMap((r) => [...Array.from({ length: TILES }, (_, c) => () => {
      const made = decoded(moveTo(fromBox([((c + 0.5) * BOX) / TILES, ((r + 0.5) * BOX) / TILES]), mean));
      for (let channel = 0; channel < channels; channel++)
        for (let y = 0; y < height; y++) {
          const from = (channel * height + y) * width;
          decodedTiles.set(made.subarray(from, from + width), channel * total + (r * height + y) * wide + c * width);
        }
    }), show]));
  }
  let view = "codes";
  choice(place.querySelector("[data-choice=view]"), (value) => {
    view = value;
    place.classList.toggle("with-images", value === "images");
    if (value === "images") tiles();
  });

  // random codes: of N(0, 1), and of a normal distribution fitted to the codes
  const fitted = facts.correlated
    ? (e) => mean.map((m, k) => { let sum = m; for (let j = 0; j <= k; j++) sum += spread[k * size + j] * e[j]; return sum; })
    : (e) => mean.map((m, k) => m + deviation[k] * e[k]);
  const laws = { standard: (e) => e, [facts.correlated || size === 1 ? "fitted" : "independent"]: fitted };
  const strips = Object.entries(laws).map(([name, law]) => {
    const row = element("div", { class: "strip" }, part("strips"));
    const title = element("span", { class: "strip-name" }, row), list = element("div", { class: "strip-images" }, row);
    const pictures = Array.from({ length: RANDOM }, (_, n) => {
      const button = element("button", { class: "cell" }, list), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
      button.addEventListener("click", () => setCode(law(noise[n])));
      return { button, picture };
    });
    return { name, law, title, pictures };
  });
  const decodeRandom = gradually();
  function showRandom() {
    for (const { name, title, pictures } of strips) {
      title.textContent = say(name);
      pictures.forEach(({ button, picture, made }, n) => {
        if (made) picture.show(made, images);
        button.setAttribute("aria-label", say("random_code", { number: n + 1, law: say(name) }));
      });
    }
  }
  function shuffle() {
    const random = generator(seed++);
    noise = Array.from({ length: RANDOM }, () => Float32Array.from({ length: size }, () => random.normal()));
    decodeRandom(strips.flatMap(({ law, pictures }) => pictures.map((cell, n) => () => {
      cell.made = decoded(law(noise[n])).slice();
      cell.picture.show(cell.made, images);
    })));
  }
  place.querySelector("[data-do=random]").addEventListener("click", shuffle);
  shuffle();
  showRandom();
  show();
  onChange(() => { show(); showRandom(); pca.show(principal(input_).map((v) => Math.min(Math.max(v, 0), 1)), images); part("pca-error").textContent = say("error", { error: number(distance(principal(input_), input_), 1) }); if (view === "images") tiles(); });
  return { code, encoded, get input() { return input_; } };
});
