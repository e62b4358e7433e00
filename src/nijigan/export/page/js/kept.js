// Kept faces, faces seen before, and faces from files: dropped, chosen, or from a picture.

import { $, make, notice, problem, refusal, report } from "./app.js";
import { faceCard, fill } from "./cards.js";
import { saveArchive, saveSheet } from "./draw.js";
import { fits, fromRecord, keyOf } from "./face.js";
import { readPng } from "./files.js";
import { LATER } from "./painter.js";
import { history, kept } from "./store.js";
import { t } from "./strings.js";

const SENT = ["image/png", "image/jpeg", "image/webp"], MOST_BYTES = 8 << 20; // what the server takes
const SIDE = 2048;

export function setUpKept(app) {
  const shown = (list) => list.faces.filter((face) => app.model && fits(app.model, face));

  function show() {
    const count = shown(kept).length, others = kept.faces.length - count;
    $("kept-count").textContent = String(count);
    $("kept-count").hidden = !count;
    if ($("kept").hidden || !app.model) return;
    $("kept-others").hidden = !others;
    $("kept-others-text").textContent = t("kept.others", { n: others });
    for (const [name, list] of [["kept", kept], ["history", history]]) {
      const faces = shown(list);
      $(`${name}-empty`).hidden = faces.length > 0;
      $(`${name}-more`).hidden = !faces.length;
      fill($(`${name}-faces`), (signal) => faces.map((face) => faceCard(app, face, { priority: LATER, signal })));
    }
    for (const id of ["find-title", "find-help", "find-row"]) $(id).hidden = !app.finds;
  }

  /** Open the faces that PNGs record: the first on the desk, all among those seen before. */
  async function open(files) {
    const refused = [];
    for (const file of [...files].reverse()) {
      problem("");
      await openOne(file);
      const reason = $("problem-text").textContent;
      if (reason) refused.unshift(files.length > 1 ? `${file.name}: ${reason}` : reason);
    }
    if (files.length) problem(refused.join(" "));
  }

  async function openOne(file) {
    try {
      const record = await readPng(file);
      if (record === null) return problem(app.finds ? `${t("bad.png")} ${t("bad.png.find")}` : t("bad.png"));
      if (Array.isArray(JSON.parse(record).faces)) return problem(t("bad.many"));
      await openFace(app, fromRecord(record));
    } catch {
      problem(t("bad.png"));
    }
  }

  /** Ask the server for the face nearest to a picture; say so if there are `others`, for which it does not look. */
  async function find(file, others) {
    if (!file) return;
    problem("");
    const body = await toSend(file).catch(() => null);
    if (!body) return problem(t("bad.picture"));
    notice(t("find.busy"), 600);
    const address = `v1/inversions?model=${encodeURIComponent(app.model.name)}`;
    try {
      const answer = await fetch(address, { method: "POST", headers: { "Content-Type": body.type }, body });
      notice("");
      if (!answer.ok) return problem(await refusal(answer));
      const { face, level, face_seen: seen } = JSON.parse((await answer.text()).replace(/("seed"\s*:\s*)(\d+)/g, '$1"$2"'));
      openFace(app, fromRecord(JSON.stringify(face)));
      const told = [...(seen ? [] : ["unseen"]), level, ...(others ? ["first"] : [])];
      notice(told.map((word) => t(`find.${word}`)).join(" "), 20);
    } catch (error) {
      notice("");
      problem(t("bad.server", { reason: error.message }));
    }
  }

  $("find-open").addEventListener("click", () => {
    app.show("kept");
    $("find-title").scrollIntoView();
    $("find-file").focus({ preventScroll: true });
  });
  kept.addEventListener("change", show);
  app.addEventListener("select", ({ detail: { face } }) => {
    const known = [...$("history-faces").children].some((card) => keyOf(card.face) === keyOf(face));
    if (!known) queueMicrotask(show); // the desk adds the face first
  });
  app.addEventListener("tab", ({ detail }) => detail === "kept" && show());
  for (const event of ["model", "language", "repaint"]) app.addEventListener(event, show);
  $("kept-sheet").addEventListener("click", () => saveSheet(app, shown(kept)).catch(report));
  $("kept-archive").addEventListener("click", () => saveArchive(app, shown(kept)).catch(report));
  $("kept-others-remove").addEventListener("click", () => {
    if (confirm(t("kept.sure", { n: kept.faces.length - shown(kept).length }))) kept.save(shown(kept));
  });
  $("history-clear").addEventListener("click", () => {
    history.clear();
    show();
  });
  async function findOne([file, ...others]) {
    if ($("find-file").disabled) return; // one at a time
    $("find-file").disabled = true;
    await find(file, others.length).catch(report);
    Object.assign($("find-file"), { value: "", disabled: false });
  }

  $("open-file").addEventListener("change", ({ target }) => open(target.files).then(() => (target.value = "")));
  $("find-file").addEventListener("change", ({ target }) => findOne(target.files));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    const files = event.dataTransfer?.files ?? [];
    if (event.target.closest?.("#find-title, #find-help, #find-row")) findOne(files);
    else open(files);
  });
}

/** A picture as the server takes it: others, and large ones, become JPEGs of at most `SIDE` pixels. */
async function toSend(file) {
  if (SENT.includes(file.type) && file.size <= MOST_BYTES) return file;
  const bitmap = await createImageBitmap(file), factor = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = make("canvas", { width: Math.max(1, factor * bitmap.width), height: Math.max(1, factor * bitmap.height) });
  const context = canvas.getContext("2d");
  context.fillStyle = "white"; // below what is transparent
  context.fillRect(0, 0, canvas.width, canvas.height);
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.95));
}

/** Choose a face from outside, changing the model if another one made it. */
export async function openFace(app, face) {
  const model = app.models.find(({ weights }) => weights === face.weights);
  if (!model) return problem(t("bad.model", { weights: face.weights.slice(0, 12) }));
  if (!fits(model, face)) return problem(t("bad.link"));
  if (model !== app.model) await app.use(model);
  if (model !== app.model) return; // it could not be loaded, which has been said
  problem("");
  app.select(face);
}
