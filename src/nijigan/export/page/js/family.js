// Whom the chosen face descends from, and its children: one can go back to any of them.

import { $, make } from "./app.js";
import { faceCard, fill, keepFocus } from "./cards.js";
import { fits, keyOf } from "./face.js";
import { family } from "./store.js";
import { t } from "./strings.js";

const GENERATIONS = 4;

export function setUpFamily(app) {
  function show() {
    const rows = [], relations = family.read();
    const seen = new Set([keyOf(app.face)]);
    let generation = [app.face];
    for (let depth = 1; depth <= GENERATIONS; depth++) {
      generation = generation.flatMap((face) => relations.parents(face)).filter((face) => fits(app.model, face) && !seen.has(keyOf(face)));
      generation = [...new Map(generation.map((face) => [keyOf(face), face])).values()];
      if (!generation.length) break;
      generation.forEach((face) => seen.add(keyOf(face)));
      rows.push([depth === 1 ? t("family.parents") : t("family.ancestors", { n: depth }), generation]);
    }
    const children = relations.children(app.face).filter((face) => fits(app.model, face));
    if (children.length) rows.push([t("family.children"), children]);
    $("desk-family").hidden = !rows.length;
    const shown = rows.map(([title, faces]) => {
      const row = make("div", { className: "faces strip", attributes: { role: "group", "aria-label": title } });
      fill(row, (signal) => faces.map((face) => faceCard(app, face, { signal })));
      return make("div", {}, make("p", { className: "hush", textContent: title }), row);
    });
    keepFocus($("family"), () => $("family").replaceChildren(...shown));
  }

  app.addEventListener("select", show);
  app.addEventListener("language", () => app.face && show());
}
