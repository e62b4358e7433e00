// Sliders that move the chosen face along the model's directions.

import { $, make, report } from "./app.js";
import { paint } from "./cards.js";
import { decodeLatent, latentOfFace, withLatent } from "./face.js";
import { within } from "./latents.js";
import { word } from "./strings.js";

const FARTHEST = 3; // standard deviations

export function setUpDirections(app) {
  let start = null; // the face that the sliders move
  let steps = []; // of each slider: a standard deviation of its direction, as a latent
  let taking = false; // whether the face that is chosen comes from the sliders, which stay then

  function build({ face }) {
    if (taking) return;
    const directions = app.model.directions ?? [];
    $("desk-directions").hidden = !directions.length;
    start = face;
    steps = directions.map(({ vector, spread }) => decodeLatent(vector).map((number) => spread * number));
    $("directions").replaceChildren(
      ...directions.map(({ name, correlation }) => {
        const slider = make("input", { type: "range", min: -FARTHEST, max: FARTHEST, step: 0.1, value: 0, name });
        slider.addEventListener("input", preview);
        slider.addEventListener("change", take);
        const title = correlation === null ? "" : `r ${correlation.toFixed(2)}`;
        return make("label", { className: "field wide", title }, make("span", { textContent: word(name) }), slider);
      }),
    );
  }

  function moved() {
    const latent = Float32Array.from(latentOfFace(app.model, start));
    const sliders = [...$("directions").querySelectorAll("input")];
    if (sliders.every(({ value }) => Number(value) === 0)) return start;
    steps.forEach((step, index) => {
      const times = Number(sliders[index].value);
      step.forEach((number, place) => (latent[place] += times * number));
    });
    return withLatent(app.model, start, within(latent, app.model.latent.prior));
  }

  function preview() {
    app.painter.drawLast("directions", moved()).then((picture) => paint($("portrait"), picture), report);
  }

  /** The moved face becomes the chosen one; the sliders go on from where they are, with the focus that one has. */
  function take() {
    const face = moved();
    taking = true;
    app.select(face, { parents: [start], focus: false });
    taking = false;
  }

  $("directions-reset").addEventListener("click", () => start && app.select(start, { focus: false }));
  app.addEventListener("select", ({ detail }) => build(detail));
  app.addEventListener("language", () => {
    const names = [...$("directions").querySelectorAll("span")];
    app.model?.directions?.forEach(({ name }, index) => names[index] && (names[index].textContent = word(name)));
  });
}
