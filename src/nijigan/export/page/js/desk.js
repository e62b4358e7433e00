// The chosen face: kept, saved, shared, recoloured, varied, married.

import { $, debounce, make, notice, problem, randomSeed, refusal, report } from "./app.js";
import { faceCard, fill, keepFocus, paint } from "./cards.js";
import { setUpDirections } from "./directions.js";
import { nameOf } from "./draw.js";
import { fits, keyOf, latentOfFace, toLink, toRecord, valuesOf, withLatent, withValues } from "./face.js";
import { setUpFamily } from "./family.js";
import { save, toCanvas, toPng } from "./files.js";
import { interpolate, near } from "./latents.js";
import { SOON, URGENT } from "./painter.js";
import { family, history, kept, opinions } from "./store.js";
import { t, word } from "./strings.js";

const STRIP = [0.3, 0.5, 0.7, 1, 1.2, 1.4, 1.6, 1.8];
const NEAR = 8, CHILDREN = 8;

export function setUpDesk(app) {
  let partner = null;
  let rolls = 0;

  app.addEventListener("select", ({ detail: { face, parents, focus } }) => {
    const others = parents.filter((one) => keyOf(one) !== keyOf(face));
    if (!covers()) opener = document.activeElement;
    if (others.length) family.set(face, others);
    history.add(face);
    show(face);
    open(face);
    if (focus && covers()) $("portrait").focus();
  });

  const narrow = matchMedia("(max-width: 60rem)"); // a phone, where the desk covers the page
  const covers = () => narrow.matches && document.body.classList.contains("desk-open");
  let opener = null; // what had the focus before the desk covered the page
  let covering = Boolean(globalThis.history.state?.desk); // whether this step of the history is the open desk of a phone

  function reveal(open) {
    const before = covers();
    document.body.classList.toggle("desk-open", open);
    guard();
    if (before && !open && opener?.isConnected) opener.focus({ preventScroll: true });
  }

  /** What the desk covers cannot be reached; a turned tablet or a resized window may cover or uncover it. */
  function guard() {
    for (const part of document.querySelectorAll(".top, main, footer")) part.inert = covers();
  }
  narrow.addEventListener("change", guard);

  /** Show the desk, with the face in the address. On a phone the desk hides the page, and Back closes it. */
  function open(face) {
    const address = `#face=${toLink(face)}`, state = globalThis.history.state ?? { desk: false };
    globalThis.history.replaceState(state, "", address);
    if (narrow.matches && !state.desk) globalThis.history.pushState({ desk: true }, "", address);
    covering = Boolean(globalThis.history.state.desk);
    reveal(true);
  }

  function close() {
    if (globalThis.history.state?.desk) globalThis.history.back();
    else reveal(false);
  }

  addEventListener("popstate", ({ state }) => {
    const before = covering;
    covering = Boolean(state?.desk);
    if (covering === before) return; // a step to another address, which opens its face
    reveal(covering);
    if (app.face) globalThis.history.replaceState(state ?? { desk: false }, "", `#face=${toLink(app.face)}`);
  });
  $("desk-close").addEventListener("click", close);

  function show(face) {
    $("desk-empty").hidden = true;
    $("desk-body").hidden = false;
    paintPortrait(face);
    $("desk-words").textContent = app.label(face);
    $("portrait").setAttribute("aria-label", app.label(face));
    showOpinions(face);
    showStrip(face);
    showValues(face);
    showNear(face);
    partner = null;
    $("children").replaceChildren();
    showCouple();
  }

  async function paintPortrait(face) {
    try {
      const small = await app.painter.draw(face, { priority: URGENT });
      if (face !== app.face) return;
      paint($("portrait"), small);
      const large = await app.painter.enlarge(small, 4);
      if (face === app.face) paint($("portrait"), large);
    } catch (error) {
      report(error);
    }
  }

  function showOpinions(face) {
    $("keep").setAttribute("aria-pressed", String(kept.has(face)));
    const opinion = opinions.get(face);
    $("good").setAttribute("aria-pressed", String(opinion === true));
    $("bad").setAttribute("aria-pressed", String(opinion === false));
  }

  function showStrip(face) {
    $("desk-psi").hidden = !app.model.truncatable;
    if (!app.model.truncatable) return;
    fill($("strip"), (signal) =>
      STRIP.map((psi) => {
        const shown = psi === face.psi ? face : { ...withValues(app.model, face, {}), psi };
        return faceCard(app, shown, { caption: `${psi}`, label: `ψ ${psi}`, pressed: psi === face.psi, signal });
      }),
    );
  }

  /** A row for every attribute: the same character with each of its values. */
  function showValues(face) {
    const now = valuesOf(app.model, face);
    const sections = app.model.attributes.map((attribute) => {
      const title = make("h3", { textContent: word(attribute.name), id: `values-${attribute.name}` });
      const row = make("div", { className: "faces strip", attributes: { role: "group", "aria-labelledby": title.id } });
      fill(row, (signal) =>
        attribute.values.map((value) => {
          const { poor, text } = app.accuracy(attribute, value);
          const changed = value === now[attribute.name] ? face : withValues(app.model, face, { [attribute.name]: value });
          return faceCard(app, changed, { caption: word(value), label: text, poor, pressed: value === now[attribute.name], signal });
        }),
      );
      return make("section", {}, title, row);
    });
    keepFocus($("desk-values"), () => $("desk-values").replaceChildren(...sections));
  }

  function showNear(face) {
    const latent = latentOfFace(app.model, face);
    const radius = Number($("radius").value);
    fill($("near"), (signal) =>
      Array.from({ length: NEAR }, (_, index) => {
        const other = near(latent, BigInt(1000 + NEAR * rolls + index), radius, app.model.latent);
        return faceCard(app, withLatent(app.model, face, other), { onPick: (one) => app.select(one, { parents: [face] }), signal });
      }),
    );
  }

  function showCouple() {
    const others = kept.faces.filter((one) => fits(app.model, one) && keyOf(one) !== keyOf(app.face));
    partner ??= others.length ? others[rolls % others.length] : { ...app.random(), psi: app.face.psi };
    fill($("couple"), (signal) => [app.face, partner].map((face) => faceCard(app, face, { signal })));
  }

  /** Faces between both parents. Each has some colours of either, by the same chance. */
  function makeChildren() {
    const parents = [app.face, partner];
    const [a, b] = parents.map((face) => latentOfFace(app.model, face));
    const colours = parents.map((face) => valuesOf(app.model, face));
    const likeness = Number($("likeness").value);
    fill($("children"), (signal) =>
      Array.from({ length: CHILDREN }, (_, index) => {
        const t = Math.min(1, Math.max(0, likeness + (0.5 * (index + 0.5)) / CHILDREN - 0.25));
        const middle = interpolate(a, b, t, app.model.latent.prior);
        const latent = near(middle, BigInt(randomSeed()), 0.12, app.model.latent); // siblings differ
        const attributes = Object.fromEntries(Object.keys(colours[0]).map((name) => [name, colours[Math.random() < likeness ? 1 : 0][name]]));
        const child = { ...withLatent(app.model, parents[0], latent), psi: (parents[0].psi + parents[1].psi) / 2, attributes };
        return faceCard(app, child, { onPick: (one) => app.select(one, { parents }), signal });
      }),
    );
  }

  function toggleKept() {
    if (!app.face) return;
    if (kept.has(app.face)) kept.remove(app.face);
    else if (kept.full) problem(t("bad.full", { most: kept.most }));
    else if (!kept.add(app.face)) problem(t("bad.store"));
    showOpinions(app.face);
  }

  async function rate(good) {
    const { face } = app;
    if (app.server) {
      const body = `{"face": ${toRecord(face)}, "good": ${good}}`;
      try {
        const answer = await fetch("v1/ratings", { method: "POST", headers: { "Content-Type": "application/json" }, body });
        if (!answer.ok) return problem(await refusal(answer));
      } catch (error) {
        return problem(t("bad.server", { reason: error.message }));
      }
    }
    const stored = opinions.set(face, good);
    if (face === app.face) showOpinions(face);
    if (!stored && !app.server) return problem(t("bad.store.rating"));
    notice(t(app.server ? "rated.server" : "rated"));
  }

  async function copyLink() {
    try {
      await navigator.clipboard.writeText(location.href);
      notice(t(app.secret ? "link.secret" : "link.done"), app.secret ? 10 : 4);
    } catch {
      notice(t("link.shown"));
    }
  }

  async function download(scale) {
    const picture = await app.painter.draw(app.face, { priority: SOON });
    const png = await toPng(toCanvas(await app.painter.enlarge(picture, scale)), toRecord(app.face));
    save(png, `${nameOf(app.face)}${scale > 1 ? `-x${scale}` : ""}.png`);
  }

  $("keep").addEventListener("click", toggleKept);
  $("link").addEventListener("click", copyLink);
  $("good").addEventListener("click", () => rate(true));
  $("bad").addEventListener("click", () => rate(false));
  $("radius").addEventListener("input", debounce(() => app.face && showNear(app.face), 150));
  $("make-children").addEventListener("click", makeChildren);
  $("other-parent").addEventListener("click", () => {
    rolls += 1;
    partner = null;
    showCouple();
  });
  $("to-corner").addEventListener("click", () => {
    app.dispatchEvent(new CustomEvent("corner", { detail: app.face }));
    notice(t("corner.done"));
  });
  for (const button of document.querySelectorAll(".download")) {
    button.addEventListener("click", () => download(Number(button.dataset.scale)).catch(report));
  }
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, select, textarea, dialog") || event.ctrlKey || event.metaKey || event.altKey;
    if (event.key.toLowerCase() === "k" && !typing) toggleKept();
    if (event.key === "Escape") close();
  });
  kept.addEventListener("change", () => app.face && showOpinions(app.face));
  const again = () => app.face && fits(app.model, app.face) && show(app.face);
  app.addEventListener("language", again);
  app.addEventListener("repaint", again);
  app.addEventListener("model", () => {
    if (app.face && fits(app.model, app.face)) return;
    if (app.face) globalThis.history.replaceState(globalThis.history.state, "", location.pathname + location.search);
    app.face = null;
    $("desk-body").hidden = true;
    $("desk-empty").hidden = false;
  });
  setUpDirections(app, paintPortrait);
  setUpFamily(app);
}
