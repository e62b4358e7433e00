// Starts the page: models, tabs, language, theme, the face of the address.

import { $, App, make, notice, problem } from "./app.js";
import { setUpDesk } from "./desk.js";
import { setUpDraw } from "./draw.js";
import { fromLink, keyOf } from "./face.js";
import { openFace, setUpKept } from "./kept.js";
import { setUpMix } from "./mix.js";
import { Painter } from "./painter.js";
import { setUpPick } from "./pick.js";
import { settings } from "./store.js";
import { speak, t, usual } from "./strings.js";

const TABS = ["draw", "pick", "mix", "kept"];
const HEAVY = 3e8; // multiply-adds per face

const app = new App(new Painter((share) => {
  $("loading-bar").value = share;
  $("loading-text").textContent = t("loading.share", { share: Math.round(100 * share) });
}));

let turn = Promise.resolve();
app.use = (model) => (turn = turn.then(() => use(model))); // the one that was chosen last is the one that stays

async function use(model) {
  $("loading").hidden = false;
  $("loading-bar").value = 0;
  try {
    await app.painter.use(model, app.upscaler);
  } catch (error) {
    problem(t("bad.load", { reason: error.message }));
    if (app.model) $("model").value = app.model.name;
    return;
  } finally {
    $("loading").hidden = true;
  }
  app.model = model;
  $("model").value = model.name;
  $("place-choice").hidden = !(app.server && model.file);
  showAbout();
  if (model.file && model.operations > HEAVY) notice(t("heavy"));
  app.dispatchEvent(new Event("model"));
}

function showAbout() {
  const { name, resolution, kimg, licence } = app.model;
  const shown = kimg.toLocaleString(document.documentElement.lang, { maximumFractionDigits: kimg < 10 ? 1 : 0 });
  const about = t("about", { name, resolution, kimg: shown });
  $("about").textContent = licence ? `${about} ${t("about.licence", { licence })}` : about;
  $("private").textContent = t(app.server ? "private.server" : "private");
}

function show(tab) {
  for (const name of TABS) {
    const current = name === tab;
    $(name).hidden = !current;
    $(`tab-${name}`).setAttribute("aria-selected", String(current));
    $(`tab-${name}`).tabIndex = current ? 0 : -1;
  }
}

function setUpTabs() {
  app.addEventListener("tab", ({ detail }) => {
    problem(""); // it was about another tab
    show(detail);
  });
  for (const [index, name] of TABS.entries()) {
    $(`tab-${name}`).addEventListener("click", () => app.show(name));
    $(`tab-${name}`).addEventListener("keydown", ({ key }) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
      if (!step) return;
      const next = TABS[(index + step + TABS.length) % TABS.length];
      app.show(next);
      $(`tab-${next}`).focus();
    });
  }
}

function setUpSettings() {
  speak(settings.get("language", usual()));
  $("language").value = document.documentElement.lang;
  $("language").addEventListener("change", ({ target }) => {
    settings.set("language", target.value);
    speak(target.value);
    if (app.model) showAbout();
    app.dispatchEvent(new Event("language"));
  });
  const wear = (theme) => (theme === "auto" ? document.documentElement.removeAttribute("data-theme") : (document.documentElement.dataset.theme = theme));
  $("theme").value = settings.get("theme", "auto");
  wear($("theme").value);
  $("theme").addEventListener("change", ({ target }) => {
    settings.set("theme", target.value);
    wear(target.value);
  });
  $("place").addEventListener("change", ({ target }) => {
    app.painter.onServer = target.value === "server";
    app.painter.kept.clear();
    app.dispatchEvent(new Event("repaint"));
  });
  $("model").addEventListener("change", ({ target }) => app.use(app.models.find(({ name }) => name === target.value)));
  $("problem-close").addEventListener("click", () => problem(""));
}

/** The face of the address: undefined if it names none, null if it is damaged. */
function faceOfAddress() {
  const text = /^#face=([\w-]+)$/.exec(location.hash)?.[1];
  if (!text) return undefined;
  try {
    return fromLink(text);
  } catch {
    return null;
  }
}

async function openAddress() {
  const face = faceOfAddress();
  if (face) await openFace(app, face).catch(() => problem(t("bad.link")));
  else if (face === null) problem(t("bad.link"));
}

async function start() {
  setUpSettings();
  setUpTabs();
  const head = document.querySelector(".top"); // it may take two lines; the desk stays below it
  new ResizeObserver(() => document.documentElement.style.setProperty("--head", `${head.offsetHeight}px`)).observe(head);
  [setUpDraw, setUpPick, setUpMix, setUpKept, setUpDesk].forEach((setUp) => setUp(app));
  app.show("draw");
  try {
    const response = await fetch("models.json");
    if (!response.ok) throw new Error(String(response.status));
    const { models, upscaler, server, most_faces: most, finds, secret, runs = [] } = await response.json();
    Object.assign(app, { models, upscaler, server, finds: Boolean(finds), secret: Boolean(secret), runs });
    app.painter.mostOnServer = most ?? Infinity;
  } catch (error) {
    $("loading").hidden = true;
    return problem(t("bad.models", { reason: error.message }));
  }
  $("model").append(...app.models.map(({ name }) => make("option", { value: name, textContent: name })));
  $("runs").hidden = !app.runs.length;
  $("runs").append(...app.runs.map(({ name, url }) => make("a", { href: url, textContent: name })));
  $("model-choice").hidden = app.models.length < 2;
  $("find-open").hidden = !app.finds;
  const { weights } = faceOfAddress() ?? {};
  await app.use(app.models.find((model) => model.weights === weights) ?? app.models[0]);
  if (app.model) await openAddress();
  addEventListener("hashchange", () => {
    const face = faceOfAddress();
    if (!face || !app.face || keyOf(face) !== keyOf(app.face)) openAddress();
  });
  document.body.dataset.ready = "yes";
}

start();
