// What all parts of the page share: the model, the painter, the chosen face, messages.

import { makeFace, UNKNOWN, valuesOf } from "./face.js";
import { t, word } from "./strings.js";

export const $ = (id) => document.getElementById(id);

/** An element with properties, attributes (in `attributes`) and children. */
export function make(tag, { attributes = {}, ...properties } = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const USUAL_PSI = 0.7; // cleaner faces than the 1 of training, of fewer kinds

export const randomSeed = () => crypto.getRandomValues(new Uint32Array(1))[0] % 1_000_000_000;

/** What was said last, for a few seconds. */
let silence;
export function notice(text, seconds = 4) {
  clearTimeout(silence);
  $("notice").textContent = text;
  silence = setTimeout(() => ($("notice").textContent = ""), 1000 * seconds);
}

export function problem(text) {
  $("problem-text").textContent = text;
  $("problem").hidden = !text;
}

/** What went wrong while drawing, unless it was only called off. */
export function report(error) {
  if (error?.name !== "AbortError") problem(t("bad.draw", { reason: error?.message ?? error }));
}

/** The sentence with which a server refused; throws an Error if something else answered, such as a proxy. */
export async function refusal(response) {
  const { detail } = await response.json().catch(() => ({}));
  if (!detail) throw new Error(`status ${response.status}`);
  return detail;
}

/** Run `work` at most once in `wait` milliseconds, the last time with the last arguments. */
export function debounce(work, wait) {
  let timer;
  return (...values) => {
    clearTimeout(timer);
    timer = setTimeout(() => work(...values), wait);
  };
}

export class App extends EventTarget {
  /** @param painter see painter.js. */
  constructor(painter) {
    super();
    this.painter = painter;
    this.models = [];
    this.model = null;
    this.face = null;
  }

  /** A face of a random seed. */
  random() {
    return makeFace(this.model, randomSeed(), { psi: this.model.truncatable ? USUAL_PSI : 1 });
  }

  /** Choose a face: the desk shows it. `parents` are those that it was made from. */
  select(face, { parents = [], focus = true } = {}) {
    this.face = face;
    this.dispatchEvent(new CustomEvent("select", { detail: { face, parents, focus } }));
  }

  /** Show one of the tabs. */
  show(tab) {
    this.dispatchEvent(new CustomEvent("tab", { detail: tab }));
  }

  /** "blue hair, red eyes", from what a face is. */
  words(face) {
    return Object.entries(valuesOf(this.model, face))
      .filter(([, value]) => value !== UNKNOWN)
      .map(([name, value]) => (document.documentElement.lang === "ja" ? `${word(name)}: ${word(value)}` : `${word(value)} ${word(name)}`))
      .join(", ");
  }

  /** A name for screen readers and tooltips. */
  label(face) {
    const name = face.latent ? t("face.made") : t("face", { seed: face.seed });
    const words = this.words(face);
    return words ? t("face.words", { face: name, words }) : name;
  }

  /** Attribute and value with the accuracy that was measured. */
  accuracy(attribute, value) {
    const share = attribute.accuracy?.[attribute.values.indexOf(value)];
    if (share === null || share === undefined) return { poor: false, text: t("accuracy.none", { value: word(value) }) };
    const poor = share < 0.5;
    return { poor, share, text: t(poor ? "accuracy.poor" : "accuracy", { value: word(value), share: Math.round(100 * share) }) };
  }
}
