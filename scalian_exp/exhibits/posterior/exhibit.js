import { generator } from "../frame/arrays.js";
import { input } from "../frame/input.js";
import { Pixels, element, exhibit, number, onChange, svg } from "../frame/kit.js";

const WIDE = 480, HIGH = 240, REACH = 4, FLOOR = 26;

exhibit("posterior", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const images = blocks[facts.images], { program } = blocks[facts.terms], { size, beta } = facts;
  const [, height, width] = images.shape, output = new Pixels(part("output"), width, height);
  const noise = new Float32Array(size), draws = generator(1);
  let x = null, chosen = 0, terms = null;

  const along = (z) => WIDE / 2 + (z * WIDE) / (2 * REACH);
  /** The curve of N(mean, deviation²); a peak that is too high for the picture is cut. */
  function curve(mean, deviation, high, floor) {
    let path = "";
    for (let i = 0; i <= 160; i++) {
      const z = -REACH + (2 * REACH * i) / 160, density = Math.exp(-0.5 * ((z - mean) / deviation) ** 2) / deviation;
      path += `${i ? "L" : "M"}${along(z).toFixed(1)} ${(high - floor - Math.min(density, 2.4) * ((high - floor - 8) / 2.4)).toFixed(1)}`;
    }
    return path;
  }
  const chart = part("curves"), prior = svg("path", { class: "prior", d: curve(0, 1, HIGH, FLOOR) }, chart);
  const own = svg("path", { class: "own" }, chart), drawn = svg("path", { class: "drawn" }, chart);
  for (let z = -3; z <= 3; z++) svg("text", { x: along(z), y: HIGH - 7 }, chart).textContent = number(z);
  const names = ["prior", "own", "drawn"].map((name, n) => svg("text", { x: 10, y: 20 + 18 * n, class: `name name-${name}` }, chart));

  const units = Array.from({ length: size }, (_, k) => {
    const button = element("button", { class: "unit", role: "radio" }, part("units"));
    const small = svg("svg", { viewBox: `0 0 ${WIDE} 180`, class: "posterior-small" }, button);
    svg("path", { class: "prior", d: curve(0, 1, 180, 6) }, small);
    button.addEventListener("click", () => choose(k));
    return { button, path: svg("path", { class: "own" }, small) };
  });
  part("units").addEventListener("keydown", (event) => {
    const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    if (!by) return;
    choose((chosen + by + size) % size);
    units[chosen].button.focus();
    event.preventDefault();
  });
  function choose(k) { chosen = k; show(); }

  function compute() {
    const [mean, deviation, image, reconstruction, kl] = program.run(x, noise);
    terms = { mean: mean.slice(), deviation: deviation.slice(), reconstruction: reconstruction[0], each: kl.slice(), kl: kl.reduce((a, b) => a + b, 0), image: image.slice() };
    show();
  }
  function show() {
    const { mean, deviation, reconstruction, each, kl, image } = terms;
    output.show(image, images);
    own.setAttribute("d", curve(mean[chosen], deviation[chosen], HIGH, FLOOR));
    drawn.setAttribute("d", `M${along(mean[chosen] + deviation[chosen] * noise[chosen]).toFixed(1)} 8V${HIGH - FLOOR}`);
    ["prior", "own", "drawn"].forEach((name, n) => { names[n].textContent = say(`curve_${name}`); });
    units.forEach(({ button, path }, k) => {
      path.setAttribute("d", curve(mean[k], deviation[k], 180, 6));
      button.setAttribute("aria-checked", k === chosen);
      button.tabIndex = k === chosen ? 0 : -1;
      button.setAttribute("aria-label", say("unit", { index: k + 1, mean: number(mean[k], 2), deviation: number(deviation[k], 2) }));
    });
    part("value").textContent = say("value", { index: chosen + 1, mean: number(mean[chosen], 2), deviation: number(deviation[chosen], 2), kl: number(each[chosen], 2) });
    const total = reconstruction + beta * kl, share = Math.max(reconstruction, 0) / (Math.max(reconstruction, 0) + beta * kl || 1);
    part("reconstruction-bar").style.width = `${100 * share}%`;
    part("kl-bar").style.width = `${100 * (1 - share)}%`;
    part("sum").replaceChildren(
      element("span", { class: "part-reconstruction", text: say("reconstruction", { value: number(reconstruction, 1) }) }), " + ",
      element("span", { class: "part-kl", text: say(beta === 1 ? "latent" : "latent_beta", { value: number(kl, 1), beta: number(beta, Number.isInteger(beta) ? 0 : 2) }) }),
      ` = ${say("total", { value: number(total, 1) })}`,
    );
  }
  input(part("input"), images, (values) => { x = values; noise.fill(0); compute(); });
  place.querySelector("[data-do=noise]").addEventListener("click", () => { for (let k = 0; k < size; k++) noise[k] = draws.normal(); compute(); });
  place.querySelector("[data-do=mean]").addEventListener("click", () => { noise.fill(0); compute(); });
  onChange(show);
  return { get terms() { return terms; }, get input() { return x; }, noise };
});
