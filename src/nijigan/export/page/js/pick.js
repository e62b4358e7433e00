// Pick the faces you like; the next ones resemble them. Then colours, then ψ.

import { $, make, notice, randomSeed } from "./app.js";
import { columnsOf, faceCard, fill } from "./cards.js";
import { latentOfFace, valuesOf, withLatent, withValues } from "./face.js";
import { interpolate, near } from "./latents.js";
import { t, word } from "./strings.js";

const MOST = 16, LEAST = 12;
const RADII = [0.55, 0.4, 0.28, 0.18]; // of the rounds after the first; the last one repeats
const PSI = [0.3, 0.5, 0.7, 0.85, 1, 1.15, 1.3, 1.5];

export function setUpPick(app) {
  let past = []; // states, for going back
  let state = null;

  /** kind: "faces" (several may be picked) or an attribute or "psi" (one). */
  const stages = () => ["faces", ...app.model.attributes.map(({ name }) => name), ...(app.model.truncatable ? ["psi"] : [])];

  function start() {
    past = [];
    state = { stage: "faces", round: 0, faces: fresh(), picked: new Set() };
    show();
  }

  /** Full rows. */
  function count() {
    const columns = columnsOf($("pick-faces")), full = MOST - (MOST % columns);
    return full < LEAST ? MOST : full;
  }

  const fresh = () => Array.from({ length: count() }, () => app.random());

  function go(next) {
    past.push(state);
    state = { picked: new Set(), ...next };
    show();
    begin();
  }

  /** A step begins at its title: the button that led here is far below, or gone. */
  function begin() {
    $("pick-title").focus({ preventScroll: true });
    $("pick-steps").scrollIntoView({ block: "nearest" });
  }

  /** New faces between and around those that were picked. */
  function resembling(picked, round) {
    const radius = RADII[Math.min(round, RADII.length) - 1];
    const any = () => picked[Math.floor(Math.random() * picked.length)];
    return Array.from({ length: count() }, () => {
      const [first, second] = [any(), any()];
      const [a, b] = [first, second].map((face) => latentOfFace(app.model, face));
      const { prior } = app.model.latent;
      const between = first === second ? a : interpolate(a, b, Math.random(), prior);
      const face = withLatent(app.model, first, near(between, BigInt(randomSeed()), radius, app.model.latent));
      face.attributes = valuesOf(app.model, any());
      return face;
    });
  }

  function showStage(stage, face) {
    const attribute = app.model.attributes.find(({ name }) => name === stage);
    const faces = attribute
      ? attribute.values.map((value) => withValues(app.model, face, { [stage]: value }))
      : PSI.map((psi) => ({ ...withValues(app.model, face, {}), psi }));
    go({ stage, round: state.round, faces, face });
  }

  function next(face) {
    const order = stages(), following = order[order.indexOf(state.stage) + 1];
    if (following) return showStage(following, face);
    app.select(face);
    notice(t("pick.done"));
    go({ stage: "done", round: 0, faces: [face] });
  }

  function toggle(face, card) {
    if (state.stage === "done") return app.select(face);
    if (state.stage !== "faces") return next(face);
    if (!state.picked.delete(face)) state.picked.add(face);
    card.setAttribute("aria-pressed", String(state.picked.has(face)));
    showButtons();
  }

  function caption(face) {
    if (state.stage === "psi") return { caption: `ψ ${face.psi}` };
    const attribute = app.model.attributes.find(({ name }) => name === state.stage);
    if (!attribute) return {};
    const value = face.attributes[state.stage], { poor, text } = app.accuracy(attribute, value);
    return { caption: word(value), poor, label: text };
  }

  const onwardText = () => (app.model.attributes.length ? "pick.colours" : app.model.truncatable ? "pick.variety" : "take");

  /** The numbers of the steps that this model has. */
  const steps = () => [1, 2, 3, 4, 5].filter((step) => (step !== 3 || app.model.attributes.length) && (step !== 4 || app.model.truncatable));

  function showButtons() {
    const choosing = state.stage === "faces";
    $("pick-back").disabled = !past.length;
    $("pick-again").hidden = !choosing;
    $("pick-next").hidden = !choosing && state.stage !== "done";
    $("pick-next").textContent = choosing ? t("pick.next") : t("pick.restart");
    $("pick-colours")?.remove();
    if (!choosing || !state.picked.size) return;
    const onward = make("button", { type: "button", id: "pick-colours", className: "plain", textContent: t(onwardText()) });
    onward.addEventListener("click", () => {
      if (state.picked.size > 1) return notice(t("pick.single"));
      next([...state.picked][0]);
    });
    $("pick-next").after(onward);
  }

  function show() {
    const step = { faces: state.round ? 2 : 1, psi: 4, done: 5 }[state.stage] ?? 3;
    $("pick-title").textContent = step === 5 ? t("pick.done") : t(`pick.${step}`);
    $("pick-help").textContent = step === 5 ? "" : t(`pick.help${step}`);
    $("pick-steps").replaceChildren(
      ...steps().map((number) =>
        make("li", { textContent: t(`pick.step${number}`), attributes: number === step ? { "aria-current": "step" } : {} })),
    );
    fill($("pick-faces"), (signal) =>
      state.faces.map((face) => {
        const pressed = state.stage === "faces" ? state.picked.has(face) : undefined;
        return faceCard(app, face, { ...caption(face), pressed, onPick: toggle, signal });
      }),
    );
    showButtons();
  }

  $("pick-next").addEventListener("click", () => {
    if (state.stage === "done") return start();
    if (!state.picked.size) return notice(t("pick.none"));
    go({ stage: "faces", round: state.round + 1, faces: resembling([...state.picked], state.round + 1) });
  });
  $("pick-again").addEventListener("click", () => {
    const parents = past.at(-1)?.picked;
    state = { ...state, picked: new Set(), faces: state.round ? resembling([...parents], state.round) : fresh() };
    show();
    $("pick-steps").scrollIntoView({ block: "nearest" });
  });
  $("pick-back").addEventListener("click", () => {
    state = past.pop() ?? state;
    show();
    begin();
  });
  app.addEventListener("tab", ({ detail }) => detail === "pick" && app.model && !state && start());
  app.addEventListener("model", () => {
    state = null;
    if (!$("pick").hidden) start();
  });
  app.addEventListener("language", () => state && show());
}
