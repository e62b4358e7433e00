// Draws faces for the page: in a worker or on the server, the urgent ones first, none twice.

import { refusal } from "./app.js";
import { codesOf, keyOf, latentOfFace, toRecord } from "./face.js";

const MOST_KEPT = 1500; // pictures; one of 64 px takes 16 kB
const BATCH = 1; // on one thread, faces together are drawn no faster, and an urgent one would wait
const SERVER_BATCH = 32;
export const URGENT = 0, SOON = 1, LATER = 2;

const calledOff = () => new DOMException("", "AbortError");

export class Painter {
  /** @param onLoad called with the share of the model that is loaded. */
  constructor(onLoad) {
    this.model = null;
    this.onServer = false;
    this.mostOnServer = Infinity; // faces in one request
    this.kept = new Map(); // key → ImageData; the oldest first
    this.waiting = [[], [], []];
    this.calls = new Map();
    this.busy = false;
    this.worker = new Worker(new URL("./worker.js", import.meta.url), { type: "module" });
    this.worker.onmessage = ({ data }) => {
      if (data.loaded !== undefined) return onLoad?.(Math.min(1, data.loaded));
      const call = this.calls.get(data.id);
      this.calls.delete(data.id);
      if (data.error !== undefined) call.reject(new Error(data.error));
      else call.resolve(data.result);
    };
    this.worker.onerror = (event) => {
      for (const call of this.calls.values()) call.reject(new Error(event.message || "worker"));
      this.calls.clear();
    };
  }

  /** Load a model; faces of the one before are forgotten. Until it is there, and if it fails, the one before stays. */
  async use(model, upscaler) {
    const absolute = (url) => new URL(url, document.baseURI).href;
    const description = { ...model, priors: [], certificate: [], directions: [] };
    const url = model.file ? absolute(model.file) : undefined; // a server without onnxruntime has no file, and draws itself
    await this.call("load", { description, url, upscaler: absolute(upscaler) });
    this.model = model;
    this.kept.clear();
  }

  call(job, values, transfer = []) {
    const id = crypto.getRandomValues(new Uint32Array(2)).join();
    return new Promise((resolve, reject) => {
      this.calls.set(id, { resolve, reject });
      this.worker.postMessage({ id, job, ...values }, transfer);
    });
  }

  /** Draw one face: a promise of its ImageData, rejected with AbortError if `signal` comes first. */
  draw(face, { priority = SOON, signal } = {}) {
    const key = keyOf(face);
    const found = this.kept.get(key);
    if (found) return Promise.resolve(found);
    return new Promise((resolve, reject) => {
      this.waiting[priority].push({ face, key, resolve, reject, signal });
      this.work();
    });
  }

  /** Draw faces that change while someone drags: of those that wait in a channel, only the last is drawn. */
  drawLast(channel, face) {
    for (const queue of this.waiting) {
      const index = queue.findIndex((job) => job.channel === channel);
      if (index >= 0) queue.splice(index, 1)[0].reject(calledOff());
    }
    return new Promise((resolve, reject) => {
      this.waiting[URGENT].push({ face, key: null, resolve, reject, channel });
      this.work();
    });
  }

  /** Whether the server draws: it is asked to, or the page cannot. */
  get remote() {
    return this.onServer || !this.model.file;
  }

  async work() {
    if (this.busy) return;
    this.busy = true;
    await null; // those asked for in the same turn are drawn together
    for (let batch; (batch = this.take()).length; ) {
      const { model } = this;
      try {
        const pictures = await (this.remote ? this.askServer(batch) : this.askWorker(batch));
        if (model !== this.model) throw calledOff(); // another network may have drawn them
        batch.forEach((job, index) => {
          if (job.key) this.keep(job.key, pictures[index]);
          job.resolve(pictures[index]);
        });
      } catch (error) {
        batch.forEach((job) => job.reject(model === this.model ? error : calledOff()));
      }
    }
    this.busy = false;
  }

  /** The next jobs: of this model, of one priority, and of one ψ where that is an input of the network. */
  take() {
    for (const queue of this.waiting) {
      for (let index = queue.length - 1; index >= 0; index--) {
        const { face, signal } = queue[index];
        if (signal?.aborted || face.weights !== this.model.weights) queue.splice(index, 1)[0].reject(calledOff());
      }
    }
    const queue = this.waiting.find((one) => one.length);
    if (!queue) return [];
    const most = this.remote ? Math.min(SERVER_BATCH, this.mostOnServer) : BATCH;
    const alike = (job) => !this.model.styled || job.face.psi === queue[0].face.psi;
    const batch = queue.filter(alike).slice(0, most);
    batch.forEach((job) => queue.splice(queue.indexOf(job), 1));
    return batch;
  }

  async askWorker(batch) {
    const { model } = this;
    const size = model.latent.size;
    const latents = new Float32Array(batch.length * size);
    batch.forEach(({ face }, index) => {
      const psi = model.styled ? 1 : Math.fround(face.psi);
      latents.set(latentOfFace(model, face).map((number) => number * psi), index * size);
    });
    const codes = batch.flatMap(({ face }) => codesOf(model, face));
    const pixels = await this.call("draw", { latents, codes, psi: batch[0].face.psi }, [latents.buffer]);
    const side = model.resolution, length = 4 * side * side;
    return batch.map((_, index) => new ImageData(pixels.slice(index * length, (index + 1) * length), side, side));
  }

  async askServer(batch) {
    const faces = batch.map(({ face }) => toRecord(face)).join(", ");
    const body = `{"model": ${JSON.stringify(this.model.name)}, "format": "json", "faces": [${faces}]}`;
    const response = await fetch("v1/faces", { method: "POST", headers: { "Content-Type": "application/json" }, body });
    if (response.status === 429) {
      await new Promise((resolve) => setTimeout(resolve, 500));
      return this.askServer(batch);
    }
    if (!response.ok) throw new Error(await refusal(response));
    const answer = await response.json();
    return Promise.all(answer.faces.map(({ png }) => decodePicture(png)));
  }

  keep(key, picture) {
    this.kept.set(key, picture);
    if (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
  }

  /** A picture 2 or 4 times as large, by the upscaler. */
  async enlarge(picture, scale) {
    const doublings = Math.log2(scale);
    if (doublings < 1) return picture;
    const pixels = await this.call("enlarge", { pixels: picture.data, side: picture.width, doublings });
    return new ImageData(pixels, picture.width * scale, picture.height * scale);
  }
}

/** A PNG in base64 as ImageData. */
async function decodePicture(base64) {
  const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
  const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }), { colorSpaceConversion: "none" });
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  const context = canvas.getContext("2d");
  context.drawImage(bitmap, 0, 0);
  return context.getImageData(0, 0, bitmap.width, bitmap.height);
}
