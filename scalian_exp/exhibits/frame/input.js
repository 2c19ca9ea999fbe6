// The network's input, as readers choose it among test images or draw it.
import { Pixels, cells, choice, eachFrame, element, onChange, shared, svg } from "./kit.js";

/** An input image in `place`: changed(values) is called with its (C, H, W) in [0, 1], at once and after changes.
 * While a reader draws, that is once a frame.
 * `images` is the block of that name. Returns {set(values), values, choose(n)}. */
export function input(place, { arrays, shape, ink, names, count }, changed) {
  const [channels, height, width] = shape, size = height * width;
  const values = new Float32Array(channels * size);
  let tool = 1;
  place.classList.add("input");
  const stage = element("div", { class: "stage" }, place), canvas = element("canvas", { class: "dots draws", tabindex: 0, role: "application" }, stage);
  const picture = new Pixels(canvas, width, height), over = svg("svg", { class: "over", viewBox: `0 0 ${width} ${height}`, "aria-hidden": true }, stage);
  const here = svg("rect", { class: "here", width: 1, height: 1, visibility: "hidden" }, over);
  const bar = element("div", { class: "toolbar" }, place), tools = element("div", { class: "choice" }, bar);
  for (const [value, word] of [["1", "brush"], ["0", "eraser"]]) element("button", { value, "data-shared": word }, tools);
  const clear = element("button", { "data-shared": "clear" }, bar), thumbs = element("div", { class: "thumbs", role: "group" }, place);

  const group = place.closest(".show"); // exhibits between which a switch chooses go on with the same input
  const show = (tell = changed) => { picture.show(values, { shape, ink }); group.input = { values, chosen }; tell(values); }, later = eachFrame(changed);
  const buttons = Array.from({ length: count }, (_, n) => {
    const button = element("button", { class: "thumb", "aria-pressed": false }, thumbs);
    const small = new Pixels(element("canvas", { class: "dots" }, button), width, height);
    const own = Float32Array.from(arrays.images.subarray(n * channels * size, (n + 1) * channels * size), (v) => v / 255);
    button.addEventListener("click", () => choose(n));
    return { button, paint: () => small.show(own, { shape, ink }), own };
  });
  let chosen = 0;
  const press = (at) => { chosen = at; buttons.forEach(({ button }, n) => button.setAttribute("aria-pressed", n === at)); };
  function choose(n) {
    press(n);
    values.set(buttons[n].own);
    show();
  }
  /** A soft brush of the size of a pen stroke of a digit. */
  function dab(row, column, down) {
    for (const [name, value] of [["x", column], ["y", row], ["visibility", "visible"]]) here.setAttribute(name, value);
    if (!down) return;
    press(-1);
    const radius = Math.max(0.8, 0.055 * Math.min(height, width));
    for (let r = Math.max(0, Math.floor(row - 2 * radius)); r <= Math.min(height - 1, row + 2 * radius); r++)
      for (let c = Math.max(0, Math.floor(column - 2 * radius)); c <= Math.min(width - 1, column + 2 * radius); c++) {
        const weight = Math.min(1, Math.max(0, 1.5 - Math.hypot(r - row, c - column) / radius));
        for (let channel = 0; channel < channels; channel++) {
          const at = channel * size + r * width + c;
          values[at] = tool ? Math.max(values[at], weight) : Math.min(values[at], 1 - weight);
        }
      }
    show(later);
  }
  cells(canvas, height, width, { move: dab, leave: () => here.setAttribute("visibility", "hidden") });
  choice(tools, (value) => { tool = Number(value); });
  clear.addEventListener("click", () => { press(-1); values.fill(0); show(); });
  const label = () => {
    for (const target of place.querySelectorAll("[data-shared]")) target.textContent = shared(target.dataset.shared);
    tools.setAttribute("aria-label", shared("tool"));
    thumbs.setAttribute("aria-label", shared("test_images"));
    canvas.setAttribute("aria-label", shared("canvas"));
    buttons.forEach(({ button, paint }, n) => {
      const name = names[arrays.labels[n]] ?? "";
      button.setAttribute("aria-label", shared("choose_image", { number: n + 1, name: name && `(${name})` }));
      paint();
    });
    picture.show(values, { shape, ink });
  };
  function goOn() {
    if (group.input?.values.length !== values.length) { choose(0); return; }
    press(group.input.chosen);
    values.set(group.input.values);
    show();
  }
  onChange(label);
  label();
  goOn();
  place.closest("[data-exhibit]").addEventListener("shown", goOn);
  return { values, choose, set(given) { press(-1); values.set(given); show(); } };
}
