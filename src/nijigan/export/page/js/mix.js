// A pad whose four corners are faces: drag to draw what lies between them.

import { $, make, report } from "./app.js";
import { faceCard, fill, paint } from "./cards.js";
import { fits, latentOfFace, valuesOf, withLatent } from "./face.js";
import { interpolate } from "./latents.js";
import { setUpMorph } from "./morph.js";
import { URGENT } from "./painter.js";
import { kept } from "./store.js";
import { t } from "./strings.js";

const STEP = 0.05; // of an arrow key

export function setUpMix(app) {
  let corners = [];
  let place = [0.5, 0.5];
  let nextCorner = 0;
  const times = []; // when the last faces were drawn
  const field = $("pad-field");

  function roll() {
    const mine = kept.faces.filter((face) => fits(app.model, face)).slice(0, 2);
    corners = [...mine, ...Array.from({ length: 4 - mine.length }, () => app.random())];
    showCorners();
  }

  function showCorners() {
    for (const [index, holder] of document.querySelectorAll(".corner").entries()) {
      const canvas = make("canvas", { width: app.model.resolution, height: app.model.resolution, attributes: { "aria-hidden": "true" } });
      holder.replaceChildren(canvas);
      holder.setAttribute("aria-label", t("pad.corner", { n: index + 1 }));
      app.painter.draw(corners[index], { priority: URGENT }).then((picture) => paint(canvas, picture), report);
    }
    move(place);
    app.dispatchEvent(new CustomEvent("corners", { detail: corners }));
  }

  /** The face at a place of the pad; it has the colours of the nearest corner. */
  function faceAt([x, y]) {
    const { prior } = app.model.latent;
    const [a, b, c, d] = corners.map((face) => latentOfFace(app.model, face));
    const latent = interpolate(interpolate(a, b, x, prior), interpolate(c, d, x, prior), y, prior);
    const nearest = corners[(x > 0.5 ? 1 : 0) + (y > 0.5 ? 2 : 0)];
    const shares = [(1 - x) * (1 - y), x * (1 - y), (1 - x) * y, x * y];
    const psi = corners.reduce((sum, face, index) => sum + shares[index] * face.psi, 0);
    return { ...withLatent(app.model, nearest, latent), psi: Math.round(psi * 1000) / 1000, attributes: valuesOf(app.model, nearest) };
  }

  function move([x, y]) {
    place = [x, y].map((number) => Math.min(1, Math.max(0, number)));
    const [right, down] = place.map((number) => Math.round(100 * number));
    $("pad-handle").style.left = `${100 * place[0]}%`;
    $("pad-handle").style.top = `${100 * place[1]}%`;
    field.setAttribute("aria-valuenow", String(right));
    field.setAttribute("aria-valuetext", t("pad.place", { x: right, y: down }));
    if (corners.length < 4 || $("mix").hidden) return;
    app.painter.drawLast("pad", faceAt(place)).then((picture) => {
      paint($("pad-face"), picture);
      showRate();
    }, report);
  }

  function showRate() {
    const now = performance.now();
    times.push(now);
    while (times.length && now - times[0] > 1000) times.shift();
    $("pad-rate").textContent = times.length > 3 ? t("pad.rate", { rate: times.length }) : "";
  }

  const toPlace = (event) => {
    const box = field.getBoundingClientRect();
    return [(event.clientX - box.left) / box.width, (event.clientY - box.top) / box.height];
  };
  field.addEventListener("pointerdown", (event) => {
    field.setPointerCapture(event.pointerId);
    move(toPlace(event));
  });
  field.addEventListener("pointermove", (event) => field.hasPointerCapture(event.pointerId) && move(toPlace(event)));
  field.addEventListener("keydown", (event) => {
    const [x, y] = place;
    const steps = { ArrowLeft: [x - STEP, y], ArrowRight: [x + STEP, y], ArrowUp: [x, y - STEP], ArrowDown: [x, y + STEP] };
    if (!(event.key in steps)) return;
    move(steps[event.key]);
    event.preventDefault();
  });
  for (const holder of document.querySelectorAll(".corner")) {
    holder.addEventListener("click", () => choose(Number(holder.dataset.corner), holder));
  }

  /** A small choice of faces for a corner: the chosen one, kept ones, new ones. */
  function choose(index, holder) {
    const mine = [...(app.face ? [app.face] : []), ...kept.faces].filter((face) => fits(app.model, face)).slice(0, 6);
    const faces = [...mine, ...Array.from({ length: 8 - mine.length }, () => app.random())];
    const dialog = make("dialog", { className: "choice", attributes: { "aria-label": t("pad.corner", { n: index + 1 }) } });
    const group = make("div", { className: "faces", attributes: { role: "group" } });
    const close = make("button", { type: "button", className: "plain", textContent: t("close") });
    close.addEventListener("click", () => dialog.close());
    dialog.append(group, close);
    document.body.append(dialog);
    dialog.addEventListener("close", () => {
      dialog.remove();
      holder.focus();
    });
    fill(group, (signal) =>
      faces.map((face) => faceCard(app, face, { signal, priority: URGENT, onPick: () => {
        corners[index] = face;
        dialog.close();
        showCorners();
      } })),
    );
    dialog.showModal();
  }

  $("pad-roll").addEventListener("click", roll);
  $("pad-take").addEventListener("click", () => {
    const nearest = corners.filter((face) => fits(app.model, face));
    app.select(faceAt(place), { parents: nearest.slice(0, 4) });
  });
  app.addEventListener("corner", ({ detail: face }) => {
    if (corners.length < 4) roll();
    corners[nextCorner] = face;
    nextCorner = (nextCorner + 1) % 4;
    if (!$("mix").hidden) showCorners();
  });
  app.addEventListener("tab", ({ detail }) => {
    if (detail !== "mix" || !app.model) return;
    if (corners.length < 4) roll();
    else showCorners();
  });
  app.addEventListener("model", () => {
    corners = [];
    if (!$("mix").hidden) roll();
  });
  app.addEventListener("language", () => corners.length === 4 && !$("mix").hidden && showCorners());
  setUpMorph(app);
}
