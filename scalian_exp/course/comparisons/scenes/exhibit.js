import { Pixels, cells, colour, eachFrame, element, exhibit, language, mix, number, onChange, percent, svg } from "../../../exhibits/frame/kit.js";

const VOID = 255; // the number of pixels without a target

exhibit("scenes", (place, { blocks, facts, say }) => {
  const { height, width, scenes, classes, shrink } = facts, size = height * width, { images, targets, predicted } = blocks[facts.block].arrays;
  const part = (name) => place.querySelector(`[data-part=${name}]`), panels = ["scene", "truth", "answer", "errors"];
  const pictures = Object.fromEntries(panels.map((name) => [name, new Pixels(part(name), width, height)]));
  const networks = Object.values(facts.runs);
  let scene = 0, chosen = 0, look = [height >> 1, width >> 1];

  const word = (k) => facts.names[language()][k], name = (n) => networks[n].label[language()];
  const rgb = (k) => (facts.colours ? [1, 3, 5].map((at) => parseInt(facts.colours[k].slice(at, at + 2), 16)) : colour(`class-${k}`));
  const target = (p) => targets[scene * size + p], guess = (n, p) => predicted[(n * scenes + scene) * size + p];
  const pixel = (s, p) => Array.from({ length: 3 }, (_, c) => images[(s * facts.channels + (facts.channels === 3 ? c : 0)) * size + p]);
  const wrong = (n, p) => target(p) !== VOID && guess(n, p) !== target(p);
  const written = (value) => (value === null ? "—" : number(value, 3)), share = (value) => (value === null ? "—" : percent(value, 1));

  // errors are hatched, so that they are seen in any colours
  const over = part("errors").nextElementSibling, far = Math.max(2, width / 28), hatch = `${place.dataset.exhibit}-hatch`;
  const pattern = svg("pattern", { id: hatch, width: far, height: far, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" }, svg("defs", {}, over));
  svg("path", { class: "stripe", d: `M${far / 2} 0V${far}`, "stroke-width": far / 2.2 }, pattern);
  over.querySelector(".wrong").setAttribute("fill", `url(#${hatch})`);

  /** The outlines of what lies within: a path around all its cells. */
  function outline(inside) {
    let path = "";
    const within = (r, c) => r >= 0 && c >= 0 && r < height && c < width && inside(r * width + c);
    for (let r = 0; r <= height; r++)
      for (let c = 0; c <= width; c++) {
        const here = within(r, c);
        if (c < width && here !== within(r - 1, c)) path += `M${c} ${r}h1`;
        if (r < height && here !== within(r, c - 1)) path += `M${c} ${r}v1`;
      }
    return path;
  }
  /** The same cells as rows of rectangles, which can be filled. */
  function filled(inside) {
    let path = "";
    for (let r = 0; r < height; r++)
      for (let c = 0; c < width; c++) {
        if (!inside(r * width + c)) continue;
        const from = c;
        while (c < width && inside(r * width + c)) c++;
        path += `M${from} ${r}H${c}V${r + 1}H${from}Z`;
      }
    return path;
  }
  /** Where the target changes. */
  function contour() {
    let path = "";
    for (let p = 0; p < size; p++) {
      const r = (p / width) | 0, c = p % width;
      if (c + 1 < width && target(p) !== target(p + 1)) path += `M${c + 1} ${r}v1`;
      if (r + 1 < height && target(p) !== target(p + width)) path += `M${c} ${r + 1}h1`;
    }
    return path;
  }
  /** The classes of a scene: [class, IoU of the chosen network, whether it is there, whether it is seen]. */
  function present() {
    const both = new Array(classes).fill(0), there = new Array(classes).fill(0), seen = new Array(classes).fill(0);
    for (let p = 0; p < size; p++) {
      if (target(p) === VOID) continue;
      there[target(p)]++; seen[guess(chosen, p)]++;
      if (!wrong(chosen, p)) both[target(p)]++;
    }
    return [...there.keys()].filter((k) => there[k] || seen[k]).map((k) => [k, both[k] / (there[k] + seen[k] - both[k]), there[k] > 0, seen[k] > 0]);
  }

  const thumbs = Array.from({ length: scenes }, (_, s) => {
    const thumb = element("button", { class: "thumb scene", style: `aspect-ratio: ${width} / ${height}` }, part("thumbs"));
    new Pixels(element("canvas", { class: "dots" }, thumb), width, height).paint((p) => pixel(s, p));
    thumb.addEventListener("click", () => chooseScene(s));
    return thumb;
  });
  const answers = networks.map((_, n) => {
    const button = element("button", { class: "network" }, part("gallery")), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
    button.addEventListener("click", () => choose(n));
    return { button, picture, called: element("b", {}, button), scores: element("span", {}, button) };
  });

  function showScene() {
    thumbs.forEach((thumb, s) => { thumb.setAttribute("aria-pressed", s === scene); thumb.setAttribute("aria-label", say("choose_scene", { number: s + 1 })); });
    for (const line of place.querySelectorAll(".contour")) line.setAttribute("d", contour());
    pictures.scene.paint((p) => pixel(scene, p));
    pictures.truth.paint((p) => (target(p) === VOID ? colour("erased") : rgb(target(p))));
    answers.forEach(({ picture, called, scores }, n) => {
      picture.paint((p) => rgb(guess(n, p)));
      called.textContent = name(n);
      scores.textContent = say("scores", { miou: written(networks[n].miou[scene]), right: share(networks[n].right[scene]) });
    });
    showNetwork();
  }
  function showNetwork() {
    const { parameters, miou, right, test } = networks[chosen];
    answers.forEach(({ button }, n) => button.setAttribute("aria-pressed", n === chosen));
    Object.assign(part("slider"), { value: chosen, ariaValueText: name(chosen) });
    part("answer-name").textContent = say("answer", { name: name(chosen) });
    pictures.answer.paint((p) => rgb(guess(chosen, p)));
    const paper = colour("paper");
    pictures.errors.paint((p) => mix(pixel(scene, p), paper, 0.55));
    over.querySelector(".wrong").setAttribute("d", filled((p) => wrong(chosen, p)));
    over.querySelector(".rim").setAttribute("d", outline((p) => wrong(chosen, p)));
    part("readout").textContent = [
      say("readout", { name: name(chosen), parameters: number(parameters), miou: written(miou[scene]), right: share(right[scene]) }),
      test === null ? "" : say("test", { miou: number(test, 3) }),
    ].join(" ");
    part("classes").replaceChildren(...present().map(([k, iou, there, seen]) => {
      const row = element("li", { style: `--chip: rgb(${rgb(k)})` });
      element("i", {}, row);
      element("span", { text: `${word(k)} — ${there && seen ? say("found", { iou: number(iou, 2) }) : say(there ? "missed" : "invented")}` }, row);
      return row;
    }));
    showPixel();
  }
  function showPixel() {
    const [row, column] = look, p = row * width + column, reach = Math.max(1.5, width / 64), x = column + 0.5, y = row + 0.5;
    for (const cross of place.querySelectorAll(".cross"))
      cross.setAttribute("d", `M${x - reach} ${y - reach}h${2 * reach}v${2 * reach}h${-2 * reach}zM${x} 0V${y - 2 * reach}M${x} ${y + 2 * reach}V${height}M0 ${y}H${x - 2 * reach}M${x + 2 * reach} ${y}H${width}`);
    const where = { row: number(row * shrink + (shrink >> 1) + 1), column: number(column * shrink + (shrink >> 1) + 1), name: name(chosen), guess: word(guess(chosen, p)) };
    part("pixel").textContent = target(p) === VOID ? say("void", where)
      : say("pixel", { ...where, truth: word(target(p)), right: networks.filter((_, n) => !wrong(n, p)).length, count: networks.length });
  }
  function chooseScene(s) { scene = s; showScene(); }
  function choose(n) { chosen = n; showNetwork(); }
  part("slider").addEventListener("input", ({ target: { value } }) => choose(Number(value)));
  const point = eachFrame((row, column) => { look = [row, column]; showPixel(); });
  for (const panel of panels) cells(part(panel), height, width, { move: point });

  // start where the networks differ most
  const apart = (s) => { const values = networks.map(({ miou }) => miou[s] ?? 0); return Math.max(...values) - Math.min(...values); };
  chooseScene([...Array(scenes).keys()].reduce((best, s) => (apart(s) > apart(best) ? s : best), 0));
  onChange(showScene);
  return { choose, chooseScene, present, get scene() { return scene; }, get chosen() { return chosen; }, errors: () => Array.from({ length: size }, (_, p) => wrong(chosen, p)) };
});
