// Faces as buttons, and groups of them that arrow keys move through.

import { make, report } from "./app.js";
import { SOON } from "./painter.js";

/** Put a picture on a canvas of any size. */
export function paint(canvas, picture) {
  if (canvas.width !== picture.width) [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").putImageData(picture, 0, 0);
}

/**
 * A button that shows a face.
 * @param options caption: text below; label: for screen readers; pressed: a toggle's state; onPick: called with the
 *   face; priority, signal: see Painter.draw.
 */
export function faceCard(app, face, { caption, label, poor, pressed, onPick, priority = SOON, signal } = {}) {
  const side = app.model.resolution;
  const canvas = make("canvas", { width: side, height: side, attributes: { "aria-hidden": "true" } });
  const card = make("button", { type: "button", className: "face waiting", title: label ?? app.label(face) }, canvas);
  card.setAttribute("aria-label", label ?? app.label(face));
  if (pressed !== undefined) card.setAttribute("aria-pressed", String(pressed));
  if (caption) card.append(make("span", { className: poor ? "caption poor" : "caption", textContent: caption }));
  card.addEventListener("click", () => (onPick ? onPick(face, card) : app.select(face)));
  card.face = face;
  app.painter.draw(face, { priority, signal }).then((picture) => {
    paint(canvas, picture);
    card.classList.remove("waiting");
  }, report);
  return card;
}

/** How many faces a row of a visible group has. */
export const columnsOf = (group) => getComputedStyle(group).gridTemplateColumns.split(" ").length;

/** Fill a group with cards; what it showed is called off. Returns the signal for cards that are added later. */
export function fill(group, build) {
  group.halt?.abort();
  group.halt = new AbortController();
  keepFocus(group, () => {
    group.replaceChildren(...build(group.halt.signal));
    rove(group);
  });
  return group.halt.signal;
}

/** Replace the cards in an element; the focus, if one of them has it, goes to the new card in its place. */
export function keepFocus(holder, replace) {
  const cards = () => [...holder.querySelectorAll("button.face")];
  const at = cards().indexOf(document.activeElement);
  replace();
  const next = at >= 0 && cards().slice(0, at + 1).at(-1);
  if (next) enter(next, [...next.parentElement.querySelectorAll("button.face")], { preventScroll: true });
}

/** Give the focus to one card of a group, and make it the group's stop of the tab key. */
function enter(card, all, options) {
  all.forEach((one) => (one.tabIndex = one === card ? 0 : -1));
  card.focus(options);
}

/** Make a group one stop of the tab key, with arrow keys inside. */
export function rove(group) {
  const cards = () => [...group.querySelectorAll("button.face")];
  const current = cards().find((card) => card.tabIndex === 0 && card.dataset.roved);
  cards().forEach((card, index) => {
    card.tabIndex = (current ? card === current : index === 0) ? 0 : -1;
    card.dataset.roved = "yes";
  });
  if (group.roving) return;
  group.roving = true;
  group.addEventListener("keydown", (event) => {
    const all = cards(), at = all.indexOf(event.target.closest("button.face"));
    if (at < 0) return;
    const top = all[0].offsetTop, row = Math.max(1, all.findIndex((card) => card.offsetTop > top));
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: row, ArrowUp: -row, Home: -at, End: all.length - 1 - at };
    if (!(event.key in steps)) return;
    const next = all[Math.min(all.length - 1, Math.max(0, at + steps[event.key]))];
    enter(next, all);
    event.preventDefault();
  });
}
