import { generator } from "../../../exhibits/frame/arrays.js";
import { Pixels, choice, classColour, eachFrame, element, exhibit, gradually, language, legend, number, onChange, percent, svg } from "../../../exhibits/frame/kit.js";

const RANDOM = 12, TILES = 13, BOX = 400, HELD = 2.448; // the radius that holds 95 % of N(0, 1)

exhibit("planes", (place, { blocks, facts, say }) => {
  const { reach, names, shape: [channels, height, width] } = facts, { arrays } = blocks[facts.block], { labels } = arrays;
  const networks = Object.entries(facts.runs).map(([run, about]) => {
    const panel = place.querySelector(`[data-network="${run}"]`), part = (name) => panel.querySelector(`[data-part=${name}]`), codes = arrays[run];
    let far = reach;
    for (const value of codes) far = Math.max(far, 1.05 * Math.abs(value));
    return {
      ...about, part, codes, far, plane: part("plane"), image: new Pixels(part("image"), width, height), ground: new Pixels(part("ground"), TILES * width, TILES * height),
      code: new Float32Array(2), fill: gradually(), tiles: null,
      decoded: (z) => blocks[about.decode].program.run(Float32Array.from(z))[0],
      /** Whether a code is farther from any test code than nearly all of these are from one another. */
      holed([x, y]) {
        for (let i = 0; i < codes.length; i += 2) if (Math.hypot(codes[i] - x, codes[i + 1] - y) <= about.spacing) return false;
        return true;
      },
    };
  });
  let extent = "same", law = "standard", view = "codes", seed = 17, noise = [];

  const end = (network) => (extent === "same" ? reach : network.far);
  const toBox = (network, [x, y]) => [BOX / 2 + (x * BOX) / (2 * end(network)), BOX / 2 - (y * BOX) / (2 * end(network))];
  const fromBox = (network, [x, y]) => [((x - BOX / 2) * 2 * end(network)) / BOX, ((BOX / 2 - y) * 2 * end(network)) / BOX];
  const drawn = ({ mean, spread }, [a, b]) => (law === "standard" ? [a, b] : [mean[0] + spread[0][0] * a, mean[1] + spread[1][0] * a + spread[1][1] * b]);

  // what a plane shows, from below: axes, codes by class, the circle of N(0, 1), the chosen code, random codes
  for (const network of networks) {
    const { plane } = network;
    svg("path", { class: "axis", d: `M0 ${BOX / 2}H${BOX}M${BOX / 2} 0V${BOX}` }, plane);
    network.points = Array.from({ length: Math.max(1, names.en.length) }, (_, label) => svg("path", { class: "points", style: `stroke: ${classColour(label)}` }, plane));
    network.law = svg("circle", { class: "law", cx: BOX / 2, cy: BOX / 2 }, plane);
    network.ticks = [-1, 1].map((side) => svg("text", { class: "tick", x: side < 0 ? 4 : BOX - 4, y: BOX / 2 - 5, "text-anchor": side < 0 ? "start" : "end" }, plane));
    network.cursor = svg("g", { class: "cursor" }, plane);
    svg("circle", { r: 13 }, network.cursor);
    svg("path", { d: "M-22 0H-6M22 0H6M0 -22V-6M0 22V6" }, network.cursor);
    network.marks = Array.from({ length: RANDOM }, (_, n) => {
      const mark = svg("g", { class: "mark" }, plane);
      svg("circle", { r: 9.5 }, mark);
      svg("text", { y: 4.3 }, mark).textContent = n + 1;
      return mark;
    });
  }
  legend(place.querySelector("[data-part=legend]"), () => names[language()], (only) => networks.forEach(({ points }) => points.forEach((cloud, label) => cloud.classList.toggle("faint", only !== null && only !== label))));

  const put = (mark, network, code) => mark.setAttribute("transform", `translate(${toBox(network, code).map((v) => Math.min(Math.max(v, 6), BOX - 6).toFixed(1)).join(" ")})`);
  function showPlane(network) {
    const { codes, points, ticks, part } = network;
    points.forEach((cloud, label) => {
      let path = "";
      for (let i = 0; i < labels.length; i++) {
        if (labels[i] !== label && names.en.length) continue;
        const [x, y] = toBox(network, [codes[2 * i], codes[2 * i + 1]]);
        if (x >= 0 && y >= 0 && x <= BOX && y <= BOX) path += `M${x.toFixed(1)} ${y.toFixed(1)}h0`;
      }
      cloud.setAttribute("d", path);
    });
    network.law.setAttribute("r", (HELD * BOX) / (2 * end(network)));
    ticks.forEach((tick, n) => { tick.textContent = number((n ? 1 : -1) * end(network), extent === "same" ? 0 : 1); });
    part("outside").textContent = extent === "same" && network.outside > 0 ? say("outside", { share: percent(network.outside, network.outside < 0.1 ? 1 : 0) }) : say("inside");
    network.tiles = null;
    if (view === "images") showTiles(network);
  }
  function showTiles(network) {
    const { ground } = network, wide = TILES * width, total = TILES * TILES * height * width;
    if (network.tiles) { ground.show(network.tiles, facts); return; }
    const tiles = (network.tiles = new Float32Array(channels * total));
    network.fill(Array.from({ length: TILES }, (_, r) => r).flatMap((r) => [...Array.from({ length: TILES }, (_, c) => () => {
      const made = network.decoded(fromBox(network, [((c + 0.5) * BOX) / TILES, ((r + 0.5) * BOX) / TILES]));
      for (let channel = 0; channel < channels; channel++)
        for (let y = 0; y < height; y++) {
          const from = (channel * height + y) * width;
          tiles.set(made.subarray(from, from + width), channel * total + (r * height + y) * wide + c * width);
        }
    }), () => ground.show(tiles, facts)]));
  }
  function showCode(network) {
    const { code, part, cursor } = network, [x, y] = code;
    network.image.show(network.decoded(code), facts);
    put(cursor, network, code);
    part("code").textContent = `${say("code", { x: number(x, 2), y: number(y, 2) })}, ${say(network.holed(code) ? "in_hole" : "near")}`;
  }
  const later = eachFrame(() => networks.forEach(showCode));
  const setCodes = (code) => { networks.forEach((network) => network.code.set(typeof code === "function" ? code(network) : code)); later(); };

  // random codes, in rows
  const rows = networks.map((network) => {
    const row = element("div", { class: "row" }, place.querySelector("[data-part=rows]")), name = element("span", { class: "name" }, row), list = element("div", { class: "images" }, row);
    const cells = Array.from({ length: RANDOM }, (_, n) => {
      const button = element("button", { class: "cell" }, list), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
      button.addEventListener("click", () => setCodes((each) => drawn(each, noise[n])));
      return { button, picture, caption: element("span", {}, button), made: null };
    });
    return { network, name, cells };
  });
  const decode = gradually();
  function showRandom() {
    for (const { network, name, cells } of rows) {
      name.textContent = network.label[language()];
      cells.forEach(({ button, picture, caption, made }, n) => {
        const holed = network.holed(drawn(network, noise[n]));
        for (const target of [button, network.marks[n]]) target.classList.toggle("holed", holed);
        put(network.marks[n], network, drawn(network, noise[n]));
        caption.textContent = holed ? `${n + 1} · ${say("hole")}` : n + 1;
        button.setAttribute("aria-label", say("tile", { number: n + 1, name: network.label[language()], where: say(holed ? "in_hole" : "near") }));
        if (made) picture.show(made, facts);
      });
    }
  }
  function decodeRandom() {
    showRandom();
    decode(rows.flatMap(({ network, cells }) => cells.map((cell, n) => () => {
      cell.made = network.decoded(drawn(network, noise[n])).slice();
      cell.picture.show(cell.made, facts);
    })));
    setCodes((network) => drawn(network, noise[0]));
  }
  function shuffle() {
    const random = generator(seed++);
    noise = Array.from({ length: RANDOM }, () => [random.normal(), random.normal()]);
    decodeRandom();
  }
  function showTable() {
    const table = place.querySelector("[data-part=table]"), head = element("thead"), body = element("tbody"), [top, below] = [0, 1].map(() => element("tr", {}, head));
    element("td", { rowspan: 2 }, top);
    for (const kind of ["standard", "fitted"]) element("th", { scope: "colgroup", colspan: 3, text: say(`of_${kind}`) }, top);
    element("th", { scope: "col", text: say("of_reconstructions") }, top);
    for (const column of ["holes", "covered", "frechet", "holes", "covered", "frechet", "frechet"]) element("th", { scope: "col", text: say(`column_${column}`) }, below);
    for (const { label, standard, fitted, reconstructed } of networks) {
      const row = element("tr", {}, body);
      element("th", { scope: "row", text: label[language()] }, row);
      const law = ({ holes, classes_covered: covered, frechet_distance: distance }) => [percent(holes, 1), say("of_classes", { covered, all: facts.classes }), number(distance, 1)];
      for (const text of [...law(standard), ...law(fitted), number(reconstructed, 1)]) element("td", { text }, row);
    }
    table.replaceChildren(head, body);
  }

  for (const network of networks) {
    const { plane } = network;
    let down = false;
    const point = ({ clientX, clientY }) => {
      const box = plane.getBoundingClientRect(), share = (v, from, size) => Math.min(Math.max((v - from) / size, 0), 1) * BOX;
      setCodes(fromBox(network, [share(clientX, box.left, box.width), share(clientY, box.top, box.height)]));
    };
    plane.addEventListener("pointerdown", (event) => { down = true; plane.setPointerCapture(event.pointerId); point(event); plane.focus({ preventScroll: true }); event.preventDefault(); });
    plane.addEventListener("pointermove", (event) => { if (down) point(event); });
    for (const over of ["pointerup", "pointercancel"]) plane.addEventListener(over, () => { down = false; });
    plane.addEventListener("keydown", (event) => {
      const way = { ArrowUp: [0, 1], ArrowDown: [0, -1], ArrowLeft: [-1, 0], ArrowRight: [1, 0] }[event.key];
      if (!way) return;
      const by = (event.shiftKey ? 0.08 : 0.02) * end(network), [x, y] = network.code;
      setCodes([x + by * way[0], y + by * way[1]]);
      event.preventDefault();
    });
  }
  const chosen = (name, change) => choice(place.querySelector(`[data-choice=${name}]`), change);
  chosen("extent", (value) => { extent = value; show(); });
  chosen("law", (value) => { law = value; decodeRandom(); });
  chosen("view", (value) => {
    view = value;
    place.classList.toggle("showing-images", value === "images");
    if (value === "images") networks.forEach(showTiles);
  });
  place.querySelector("[data-do=draw]").addEventListener("click", shuffle);
  const show = () => {
    networks.forEach(showPlane);
    showRandom();
    networks.forEach(showCode);
    showTable();
  };
  shuffle();
  show();
  onChange(show);
  return { networks, get noise() { return noise; }, setCodes, drawn: (n, k) => drawn(networks[n], noise[k]) };
});
