// A film that passes from corner to corner of the pad and back to the first.

import { $, notice, problem, report } from "./app.js";
import { paint } from "./cards.js";
import { latentOfFace, toRecord, valuesOf, withLatent } from "./face.js";
import { save, toCanvas, toFilm, toPng, toWebp, toZip } from "./files.js";
import { interpolate } from "./latents.js";
import { LATER } from "./painter.js";
import { t } from "./strings.js";

const FPS = 24;
const SIDE = 256; // pixels of a saved film, at least

export function setUpMorph(app) {
  let corners = [];
  let turn = 0, playing = 0; // the turn that plays; 0: none
  let rendering = 0; // how many films are being drawn

  app.addEventListener("corners", ({ detail }) => {
    corners = [detail[0], detail[1], detail[3], detail[2]]; // round the pad
    playing = 0;
    $("morph-play").textContent = t("morph.play");
    const mine = corners; // others may have come before the face is drawn
    app.painter.draw(mine[0]).then((picture) => mine === corners && paint($("morph-face"), picture), report);
  });

  /** The faces of all frames: colours change half way from one corner to the next. */
  function frames() {
    const perStop = Number($("morph-frames").value);
    const latents = corners.map((face) => latentOfFace(app.model, face));
    return corners.flatMap((from, index) => {
      const at = (index + 1) % corners.length, to = corners[at];
      return Array.from({ length: perStop }, (_, frame) => {
        const t = frame / perStop;
        const latent = interpolate(latents[index], latents[at], t, app.model.latent.prior);
        const psi = Math.round(1000 * ((1 - t) * from.psi + t * to.psi)) / 1000;
        return { ...withLatent(app.model, from, latent), psi, attributes: valuesOf(app.model, t < 0.5 ? from : to) };
      });
    });
  }

  async function render() {
    const faces = frames(), pictures = [];
    rendering += 1;
    $("morph-bar").hidden = false;
    try {
      for (const [index, face] of faces.entries()) {
        pictures.push(await app.painter.draw(face, { priority: LATER }));
        $("morph-bar").value = (index + 1) / faces.length;
      }
    } finally {
      rendering -= 1;
      $("morph-bar").hidden = !rendering;
    }
    return { faces, pictures };
  }

  async function play() {
    const mine = playing ? 0 : ++turn;
    playing = mine;
    $("morph-play").textContent = t(playing ? "morph.stop" : "morph.play");
    if (!mine) return;
    try {
      const { pictures } = await render();
      for (let frame = 0; playing === mine && !$("mix").hidden; frame = (frame + 1) % pictures.length) {
        paint($("morph-face"), pictures[frame]);
        await new Promise((resolve) => setTimeout(resolve, 1000 / FPS));
      }
    } finally {
      if (playing === mine) {
        playing = 0;
        $("morph-play").textContent = t("morph.play");
      }
    }
  }

  /** Canvases large enough for a film. */
  async function canvases() {
    const { pictures } = await render();
    const side = Math.max(1, Math.round(SIDE / app.model.resolution)) * app.model.resolution;
    return pictures.map((picture) => {
      const canvas = Object.assign(document.createElement("canvas"), { width: side, height: side });
      const context = canvas.getContext("2d");
      context.imageSmoothingQuality = "high";
      context.drawImage(toCanvas(picture), 0, 0, side, side);
      return canvas;
    });
  }

  async function saveWebp() {
    const drawn = await canvases();
    await toWebp(drawn, Math.round(1000 / FPS)).then((blob) => save(blob, "nijigan-morph.webp"), () => problem(t("morph.nowebp")));
  }

  async function saveFilm() {
    const film = await toFilm(await canvases(), FPS);
    if (!film) return notice(t("morph.nofilm"));
    save(film, `nijigan-morph.${film.type === "video/mp4" ? "mp4" : "webm"}`);
  }

  async function saveFrames() {
    const { faces, pictures } = await render();
    const entries = [];
    for (const [index, picture] of pictures.entries()) {
      entries.push([`frame-${String(index).padStart(4, "0")}.png`, await toPng(toCanvas(picture), toRecord(faces[index]))]);
    }
    save(await toZip(entries), "nijigan-morph.zip");
  }

  $("morph-play").addEventListener("click", () => play().catch(report));
  for (const [id, work] of [["morph-webp", saveWebp], ["morph-film", saveFilm], ["morph-png", saveFrames]]) {
    $(id).addEventListener("click", () => work().catch(report));
  }
}
