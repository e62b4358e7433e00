// A face: the record that draws it again, and what a model makes of it.

import { attributeDraw, latentOf } from "./latents.js";

const MOST_SEED = 2n ** 63n - 1n;
export const ANY = "any";
export const UNKNOWN = "unknown";

/** Numbers as base64 of little-endian float32, as `nijigan.generator.face.encode_latent` writes them. */
export function encodeLatent(latent) {
  const bytes = new Uint8Array(latent.length * 4);
  const view = new DataView(bytes.buffer);
  latent.forEach((number, index) => view.setFloat32(4 * index, number, true));
  return btoa(String.fromCharCode(...bytes));
}

export function decodeLatent(text) {
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  if (!bytes.length || bytes.length % 4) throw new Error("latent");
  const view = new DataView(bytes.buffer);
  const latent = Float32Array.from({ length: bytes.length / 4 }, (_, index) => view.getFloat32(4 * index, true));
  if (!latent.every((number) => Math.abs(number) <= 1e4)) throw new Error("latent");
  return latent;
}

/** A face of a model. `latent` is base64, or "" for the latent of the seed. */
export function makeFace(model, seed, { psi = 1, attributes = {}, latent = "" } = {}) {
  return { weights: model.weights, seed: BigInt(seed), psi, attributes: { ...attributes }, latent };
}

/** The record as Python writes it: one line of ASCII JSON. */
export function toRecord(face) {
  const ascii = (value) =>
    JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => "\\u" + c.charCodeAt(0).toString(16).padStart(4, "0"));
  const psi = Number.isInteger(face.psi) ? face.psi.toFixed(1) : String(face.psi);
  const attributes = Object.entries(face.attributes).map(([name, value]) => `${ascii(name)}: ${ascii(value)}`);
  const latent = face.latent ? `, "latent": ${ascii(face.latent)}` : "";
  return `{"weights": ${ascii(face.weights)}, "seed": ${face.seed}, "psi": ${psi}, "attributes": ` +
    `{${attributes.join(", ")}}${latent}}`;
}

/** Read a record; throws an Error if it is none. */
export function fromRecord(text) {
  // Seeds have 63 bits, and numbers of JavaScript 53.
  const raw = JSON.parse(text.replace(/("seed"\s*:\s*)(\d+)/, '$1"$2"'));
  if (raw === null || typeof raw !== "object" || Array.isArray(raw)) throw new Error("record");
  const { weights, seed, psi = 1, attributes = {}, latent = "" } = raw;
  const words = attributes && typeof attributes === "object" ? Object.entries(attributes).flat() : [null];
  const valid = /^[0-9a-f]{64}$/.test(weights) && /^\d{1,19}$/.test(seed) && BigInt(seed) <= MOST_SEED &&
    typeof psi === "number" && psi >= 0 && psi <= 2 && typeof latent === "string" &&
    words.every((word) => typeof word === "string" && word.length <= 100);
  if (!valid) throw new Error("record");
  if (latent) decodeLatent(latent);
  return { weights, seed: BigInt(seed), psi, attributes, latent };
}

/** What a link carries, and back. */
export function toLink(face) {
  return btoa(toRecord(face)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

export function fromLink(text) {
  return fromRecord(atob(text.replaceAll("-", "+").replaceAll("_", "/")));
}

/** Equal faces have equal keys. */
export const keyOf = (face) => toRecord(face);

/** The latent, before truncation. */
export function latentOfFace(model, face) {
  if (!face.latent) return latentOf(face.seed, model.latent);
  const latent = decodeLatent(face.latent);
  if (latent.length !== model.latent.size) throw new Error("latent");
  return latent;
}

/** The code of every attribute, -1 for unknown: requested, or else sampled as Python samples. */
export function codesOf(model, face) {
  const fixed = model.attributes.map(({ name, values }) => {
    const value = Object.hasOwn(face.attributes, name) ? face.attributes[name] : ANY; // not that of every object
    return value === ANY ? null : values.indexOf(value); // unknown gives -1
  });
  if (!fixed.includes(null)) return fixed;
  const matching = model.priors.filter((row) => fixed.every((code, index) => code === null || code === row[index]));
  const rows = matching.length ? matching : model.priors;
  const aim = attributeDraw(face.seed) * rows.reduce((sum, row) => sum + row.at(-1), 0);
  let sum = 0;
  const chosen = rows.find((row) => (sum += row.at(-1)) > aim) ?? rows.at(-1);
  return fixed.map((code, index) => code ?? chosen[index]);
}

/** Attribute → value of every attribute, requested or sampled. */
export function valuesOf(model, face) {
  const codes = codesOf(model, face);
  return Object.fromEntries(
    model.attributes.map(({ name, values }, index) => [name, codes[index] < 0 ? UNKNOWN : values[codes[index]]]),
  );
}

/** The same face with some values changed; what was sampled stays as it is. */
export function withValues(model, face, changes) {
  return { ...face, attributes: { ...valuesOf(model, face), ...changes } };
}

/** The same face with another latent; what was sampled stays as it is. */
export function withLatent(model, face, latent) {
  return { ...face, attributes: valuesOf(model, face), latent: encodeLatent(latent) };
}

/** Whether a model can draw a face. */
export function fits(model, face) {
  const known = ([name, value]) => {
    const attribute = model.attributes.find((one) => one.name === name);
    return attribute && (value === ANY || attribute.values.includes(value) || (value === UNKNOWN && attribute.unknown));
  };
  const length = face.latent ? decodeLatent(face.latent).length : model.latent.size;
  return face.weights === model.weights && length === model.latent.size && Object.entries(face.attributes).every(known) &&
    (face.psi === 1 || model.truncatable);
}
