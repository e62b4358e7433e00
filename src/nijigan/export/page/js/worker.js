// Draws faces with onnxruntime on one thread, away from the page.

import * as ort from "../vendor/ort/ort.wasm.min.mjs";

ort.env.wasm.numThreads = 1; // more need headers that static hosts do not send
ort.env.wasm.wasmPaths = new URL("../vendor/ort/", import.meta.url).href;
ort.env.logLevel = "error";

let model; // its description
let session;
let upscaler = null; // a promise of a session
let upscalerUrl;

/** Load a file, and tell how far it is. */
async function fetchBytes(url, tell) {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${response.status} ${url}`);
  const reader = response.body.getReader();
  const parts = [];
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    parts.push(value);
    size += value.length;
    tell?.(size);
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

async function checkSum(bytes, expected) {
  if (!expected || !globalThis.crypto?.subtle) return; // only secure pages and this machine's have it
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  const found = Array.from(digest, (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== expected) throw new Error("checksum");
}

/**
 * Open a model. The one before draws until then, and goes on if this one cannot be opened.
 * @param job url: of its file; undefined if there is none, and nothing will be drawn here.
 */
async function load({ description, url, upscaler: larger }) {
  const before = session;
  session = url ? await open(description, url) : undefined;
  [model, upscalerUrl] = [description, larger];
  await before?.release();
}

async function open(description, url) {
  const bytes = await fetchBytes(url, (size) => postMessage({ loaded: size / description.bytes }));
  await checkSum(bytes, description.sha256);
  return ort.InferenceSession.create(bytes, { executionProviders: ["wasm"], graphOptimizationLevel: "all" });
}

/** Faces to RGBA: one Uint8ClampedArray of N×H×W×4. */
async function draw({ latents, codes, psi }) {
  const n = latents.length / model.latent.size;
  const inputs = { latents: new ort.Tensor("float32", latents, [n, model.latent.size]) };
  if (model.attributes.length) {
    inputs.codes = new ort.Tensor("int64", BigInt64Array.from(codes, BigInt), [n, model.attributes.length]);
  }
  if (model.styled) inputs.psi = new ort.Tensor("float32", Float32Array.of(psi), []);
  const { images } = await session.run(inputs);
  const [scale, shift] = model.output === "tanh" ? [127.5, 127.5] : [255, 0];
  return toPixels(images.data, n, model.resolution, scale, shift);
}

/** N×3×H×W numbers to N×H×W×4 bytes; a Uint8ClampedArray rounds half to even, as NumPy does. */
function toPixels(data, n, side, scale, shift) {
  const area = side * side;
  const pixels = new Uint8ClampedArray(4 * n * area).fill(255);
  for (let image = 0; image < n; image++) {
    for (let channel = 0; channel < 3; channel++) {
      const from = (3 * image + channel) * area;
      for (let index = 0, to = 4 * image * area + channel; index < area; index++, to += 4) {
        pixels[to] = data[from + index] * scale + shift;
      }
    }
  }
  return pixels;
}

/** The upscaler; what failed, as without a connection, is tried again the next time. */
function openUpscaler() {
  upscaler ??= fetchBytes(upscalerUrl).then((bytes) => ort.InferenceSession.create(bytes)).catch((error) => {
    upscaler = null;
    throw error;
  });
  return upscaler;
}

/** One RGBA face of `side` pixels, twice as large for every doubling. */
async function enlarge({ pixels, side, doublings }) {
  const network = await openUpscaler();
  for (; doublings > 0; doublings--) {
    const area = side * side;
    const planes = new Float32Array(3 * area);
    for (let index = 0; index < area; index++) {
      for (let channel = 0; channel < 3; channel++) planes[channel * area + index] = pixels[4 * index + channel] / 255;
    }
    const { larger } = await network.run({ faces: new ort.Tensor("float32", planes, [1, 3, side, side]) });
    side *= 2;
    pixels = toPixels(larger.data, 1, side, 255, 0);
  }
  return pixels;
}

const jobs = { load, draw, enlarge };

onmessage = async ({ data: { id, job, ...rest } }) => {
  try {
    const result = await jobs[job](rest);
    postMessage({ id, result }, result ? [result.buffer] : []);
  } catch (error) {
    postMessage({ id, error: String(error?.message ?? error) });
  }
};
