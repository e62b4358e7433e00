// The gallery: faces of consecutive seeds with the requested colours.

import { $, debounce, make, notice, problem, randomSeed, report } from "./app.js";
import { columnsOf, faceCard, fill, rove } from "./cards.js";
import { ANY, makeFace, toRecord } from "./face.js";
import { save, toCanvas, toPng, toZip } from "./files.js";
import { LATER } from "./painter.js";
import { settings } from "./store.js";
import { t, word } from "./strings.js";

const ROWS = 4, LEAST = 12, MOST = 32; // of faces at a time
const GAP = 2; // pixels between the faces of a sheet

export function setUpDraw(app) {
  const chosen = () =>
    Object.fromEntries([...$("draw-attributes").querySelectorAll("select")].filter((one) => one.value !== ANY).map((one) => [one.name, one.value]));

  const faceOf = (index) =>
    makeFace(app.model, BigInt($("seed").value) + BigInt(index), { psi: Number($("psi").value), attributes: chosen() });

  function card(index, signal) {
    return faceCard(app, faceOf(index), { priority: LATER, signal });
  }

  let shown = ""; // what the gallery shows

  /** Show the faces that are asked for, `count` of them or a page. */
  function show(count = 0) {
    if (!app.model || $("draw").hidden || !checkSeed()) return; // a hidden gallery has no columns to count
    const asked = [app.model.weights, $("seed").value, $("psi").value, JSON.stringify(chosen())].join();
    if (asked === shown) return; // a new gallery would take the click that ends the typing of a seed
    shown = asked;
    const length = count || page();
    fill($("gallery"), (signal) => Array.from({ length }, (_, index) => card(index, signal)));
    remember();
  }

  function remember() {
    const { value } = $("seed");
    settings.set("draw", { seed: value, psi: $("psi").value, attributes: chosen(), lock: $("lock").checked });
  }

  /** Full rows of the gallery, but no more faces than a phone draws in some seconds. */
  function page() {
    const columns = columnsOf($("gallery"));
    const rows = Math.min(ROWS, Math.floor(MOST / columns));
    return columns * Math.max(1, rows, Math.ceil(LEAST / columns));
  }

  function checkSeed() {
    const plain = $("seed").value.normalize("NFKC").trim(); // of Japanese keyboards: １２
    const valid = /^\d{1,18}$/.test(plain);
    if (valid && plain !== $("seed").value) $("seed").value = plain;
    const said = $("seed").getAttribute("aria-invalid") === "true";
    $("seed").setAttribute("aria-invalid", String(!valid));
    if (said || !valid) problem(valid ? "" : t("bad.seed"));
    return valid;
  }

  function roll() {
    $("seed").value = String(randomSeed());
    show();
  }

  function buildPickers() {
    const last = settings.get("draw", {}).attributes ?? {};
    $("draw-attributes").replaceChildren(
      ...app.model.attributes.map((attribute) => {
        const select = make("select", { name: attribute.name, id: `draw-${attribute.name}` }, option(ANY, t("any")));
        for (const value of attribute.values) select.append(option(value, labelOf(app, attribute, value)));
        select.value = attribute.values.includes(last[attribute.name]) ? last[attribute.name] : ANY;
        // With the characters kept, seeds stay: the same faces in other colours.
        select.addEventListener("change", () => ($("lock").checked ? show() : roll()));
        const title = attribute.accuracy ? t("colour.help") : "";
        return make("label", { className: "field", title }, make("span", { textContent: word(attribute.name) }), select);
      }),
    );
    $("lock").parentElement.hidden = !app.model.attributes.length;
    $("psi-field").hidden = !app.model.truncatable;
    if (!app.model.truncatable) $("psi").value = "1";
    $("psi-value").textContent = $("psi").value;
  }

  const faces = () => [...$("gallery").querySelectorAll("button.face")].map((one) => one.face);

  $("draw-form").addEventListener("submit", (event) => event.preventDefault());
  const later = debounce(() => show(), 150);
  $("seed").addEventListener("input", ({ isComposing }) => isComposing || later());
  $("seed").addEventListener("change", () => show());
  $("dice").addEventListener("click", roll);
  $("psi").addEventListener("input", () => {
    $("psi-value").textContent = $("psi").value;
    later();
  });
  $("more").addEventListener("click", () => {
    if (!checkSeed()) return;
    show(); // a seed that was just typed
    const { signal } = $("gallery").halt;
    const first = $("gallery").childElementCount;
    for (let index = first, end = first + page(); index < end; index++) $("gallery").append(card(index, signal));
    rove($("gallery"));
    $("gallery").children[first].focus({ preventScroll: true });
  });
  $("sheet").addEventListener("click", () => saveSheet(app, faces()).catch(report));
  $("archive").addEventListener("click", () => saveArchive(app, faces()).catch(report));
  app.addEventListener("model", () => {
    const last = settings.get("draw", {});
    if (/^\d{1,18}$/.test(last.seed ?? "")) $("seed").value = last.seed;
    if (last.psi >= 0 && last.psi <= 1.6) $("psi").value = last.psi;
    $("psi-value").textContent = $("psi").value;
    $("lock").checked = Boolean(last.lock);
    buildPickers();
    show();
  });
  const again = () => {
    shown = "";
    show($("gallery").childElementCount);
  };
  $("lock").addEventListener("change", remember);
  app.addEventListener("tab", ({ detail }) => detail === "draw" && show());
  app.addEventListener("language", () => {
    if (app.model) buildPickers();
    again();
  });
  app.addEventListener("repaint", again);
}

const option = (value, text) => make("option", { value, textContent: text });

/** A value in a menu, with its accuracy: "blue · 98 %", or marked if it is poor. */
export function labelOf(app, attribute, value) {
  const { poor, share } = app.accuracy(attribute, value);
  if (share === undefined) return word(value);
  return `${poor ? "⚠ " : ""}${word(value)} · ${Math.round(100 * share)} %`;
}

/** Save faces as one PNG, each twice as large. */
export async function saveSheet(app, faces) {
  if (!faces.length) return;
  const drawn = await Promise.all(faces.map((face) => app.painter.draw(face, { priority: LATER })));
  const columns = Math.ceil(Math.sqrt(faces.length)), side = 2 * app.model.resolution, step = side + GAP;
  const sheet = make("canvas", { width: columns * step + GAP, height: Math.ceil(faces.length / columns) * step + GAP });
  const context = sheet.getContext("2d");
  context.fillStyle = "white";
  context.fillRect(0, 0, sheet.width, sheet.height);
  context.imageSmoothingQuality = "high";
  drawn.forEach((picture, index) => {
    const [x, y] = [(index % columns) * step + GAP, Math.floor(index / columns) * step + GAP];
    context.drawImage(toCanvas(picture), x, y, side, side);
  });
  const record = `{"n": ${faces.length}, "faces": [${faces.map(toRecord).join(", ")}]}`;
  save(await toPng(sheet, record), "nijigan-faces.png");
}

/** Save faces as a zip of PNGs, each with its record. */
export async function saveArchive(app, faces) {
  if (!faces.length) return;
  notice("…");
  const entries = [];
  for (const [index, face] of faces.entries()) {
    const png = await toPng(toCanvas(await app.painter.draw(face, { priority: LATER })), toRecord(face));
    entries.push([`${String(index + 1).padStart(3, "0")}-${nameOf(face)}.png`, png]);
  }
  save(await toZip(entries), "nijigan-faces.zip");
  notice("");
}

export const nameOf = (face) => (face.latent ? "face" : `seed-${String(face.seed).padStart(6, "0")}`);
