import { generator } from "../frame/arrays.js";
import { Pixels, eachFrame, element, exhibit, gradually, onChange, percent } from "../frame/kit.js";

const COUNT = 18, FILM = 9;

exhibit("samples", (place, { blocks, facts, say }) => {
  const part = (name) => place.querySelector(`[data-part=${name}]`);
  const images = blocks[facts.images], generate = blocks[facts.generate].program, judge = facts.judge && blocks[facts.judge].program;
  const [, height, width] = images.shape, draws = generator(1), ends = [0, 1];
  const later = gradually();
  let noise = [], made = [], next = 0;
  const image = (z) => generate.run(z)[0];
  /** Between two codes of a normal distribution along the sphere, because the straight way is shorter than any code drawn. */
  function between(a, b, t) {
    const dot = a.reduce((sum, value, k) => sum + value * b[k], 0), norm = (z) => Math.hypot(...z);
    const angle = Math.acos(Math.min(Math.max(dot / (norm(a) * norm(b)), -1), 1)), sine = Math.sin(angle);
    if (sine < 1e-4) return a.map((value, k) => (1 - t) * value + t * b[k]);
    return a.map((value, k) => (Math.sin((1 - t) * angle) * value + Math.sin(t * angle) * b[k]) / sine);
  }
  const cells = Array.from({ length: COUNT }, (_, n) => {
    const button = element("button", { class: "cell" }, part("grid")), picture = new Pixels(element("canvas", { class: "dots" }, button), width, height);
    const mark = element("span", { class: "mark" }, button);
    button.addEventListener("click", () => { ends[next] = n; next = 1 - next; show(); });
    return { button, picture, mark };
  });
  const middle = new Pixels(part("between"), width, height);
  const film = Array.from({ length: FILM }, () => new Pixels(element("canvas", { class: "dots" }, part("film")), width, height));

  function showBetween() {
    const made = image(between(noise[ends[0]], noise[ends[1]], Number(part("slider").value)));
    middle.show(made, images);
    part("judged").textContent = judge ? say("judged", { share: percent(judge.run(made)[0][0], 0) }) : "";
  }
  function show() {
    cells.forEach(({ button, picture, mark }, n) => {
      if (made[n]) picture.show(made[n], images);
      mark.textContent = ends.map((end, at) => (end === n ? "AB"[at] : "")).join("");
      button.classList.toggle("chosen", ends.includes(n));
      button.setAttribute("aria-label", say("sample", { number: n + 1, mark: mark.textContent }));
    });
    part("slider").setAttribute("aria-label", say("slider"));
    showBetween();
    later([
      ...noise.map((z, n) => () => { if (!made[n]) cells[n].picture.show((made[n] = image(z).slice()), images); }),
      ...film.map((picture, n) => () => picture.show(image(between(noise[ends[0]], noise[ends[1]], n / (FILM - 1))), images)),
    ]);
  }
  function shuffle() {
    noise = Array.from({ length: COUNT }, () => Float32Array.from({ length: facts.size }, () => draws.normal()));
    made = [];
    show();
  }
  part("slider").addEventListener("input", eachFrame(showBetween));
  place.querySelector("[data-do=random]").addEventListener("click", shuffle);
  shuffle();
  onChange(show);
  return { get noise() { return noise; }, between, ends };
});
