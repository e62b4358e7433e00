// Pictures, films and archives as files, with the record of their faces inside.

const KEY = "nijigan"; // of the text in a PNG
const SIGNATURE = [137, 80, 78, 71, 13, 10, 26, 10];
const encoder = new TextEncoder();
const latin1 = new TextDecoder("latin1");

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  for (let bit = 0; bit < 8; bit++) byte = byte & 1 ? (byte >>> 1) ^ 0xedb88320 : byte >>> 1;
  return byte;
});

function crc32(bytes) {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function concat(...parts) {
  const bytes = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** Little-endian numbers: pairs of (value, bytes). */
function little(...pairs) {
  const bytes = [];
  for (const [value, size] of pairs) for (let at = 0; at < size; at++) bytes.push(Math.floor(value / 256 ** at) & 255);
  return Uint8Array.from(bytes);
}

export function toCanvas(picture) {
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [picture.width, picture.height];
  canvas.getContext("2d").putImageData(picture, 0, 0);
  return canvas;
}

function toBlob(canvas, type, quality) {
  return new Promise((resolve, reject) => {
    canvas.toBlob((blob) => (blob?.type === type ? resolve(blob) : reject(new Error(type))), type, quality);
  });
}

/** A PNG of a canvas with a record, as Python writes it: the text `nijigan` before the pixels. */
export async function toPng(canvas, record) {
  const png = new Uint8Array(await (await toBlob(canvas, "image/png")).arrayBuffer());
  const body = concat(encoder.encode("tEXt" + KEY), [0], encoder.encode(record));
  const big = (value) => little([value, 4]).reverse();
  const chunk = concat(big(body.length - 4), body, big(crc32(body)));
  const header = 8 + 25; // the signature and the chunk IHDR
  return new Blob([png.subarray(0, header), chunk, png.subarray(header)], { type: "image/png" });
}

/** The record in a PNG, or null. */
export async function readPng(blob) {
  const bytes = new Uint8Array(await blob.arrayBuffer());
  if (!SIGNATURE.every((byte, index) => bytes[index] === byte)) return null;
  const view = new DataView(bytes.buffer);
  for (let at = 8; at + 12 <= bytes.length; ) {
    const length = view.getUint32(at);
    const kind = latin1.decode(bytes.subarray(at + 4, at + 8));
    const body = bytes.subarray(at + 8, at + 8 + length);
    const end = body.indexOf(0);
    if (kind === "tEXt" && latin1.decode(body.subarray(0, end)) === KEY) return latin1.decode(body.subarray(end + 1));
    at += 12 + length;
  }
  return null;
}

/** An archive of (name, Blob), stored without compression: PNGs have their own. */
export async function toZip(entries) {
  const parts = [], table = [];
  let at = 0;
  for (const [name, blob] of entries) {
    const data = new Uint8Array(await blob.arrayBuffer());
    const label = encoder.encode(name);
    // version, UTF-8 names, stored, a date in 1980, checksum, sizes, lengths of name and extras
    const common = little(
      [20, 2], [0x800, 2], [0, 2], [0, 2], [33, 2], [crc32(data), 4], [data.length, 4], [data.length, 4],
      [label.length, 2], [0, 2],
    );
    parts.push(concat(encoder.encode("PK\x03\x04"), common, label, data));
    table.push(concat(encoder.encode("PK\x01\x02"), little([20, 2]), common, little([0, 10], [at, 4]), label));
    at += parts.at(-1).length;
  }
  const size = table.reduce((sum, row) => sum + row.length, 0);
  const end = little([0, 4], [table.length, 2], [table.length, 2], [size, 4], [at, 4], [0, 2]);
  return new Blob([...parts, ...table, encoder.encode("PK\x05\x06"), end], { type: "application/zip" });
}

/** An animated WebP of canvases of one size that loops; each is shown for `duration` milliseconds. */
export async function toWebp(canvases, duration) {
  const { width, height } = canvases[0];
  const chunk = (name, body) =>
    concat(encoder.encode(name), little([body.length, 4]), body, new Uint8Array(body.length % 2));
  const frames = [];
  for (const canvas of canvases) {
    const still = new Uint8Array(await (await toBlob(canvas, "image/webp", 0.9)).arrayBuffer());
    const image = imageChunks(still);
    const place = little([0, 6], [width - 1, 3], [height - 1, 3], [duration, 3], [0, 1]);
    frames.push(chunk("ANMF", concat(place, image)));
  }
  const head = chunk("VP8X", little([2, 1], [0, 3], [width - 1, 3], [height - 1, 3]));
  const body = concat(encoder.encode("WEBP"), head, chunk("ANIM", little([0, 4], [0, 2])), ...frames);
  return new Blob([encoder.encode("RIFF"), little([body.length, 4]), body], { type: "image/webp" });
}

/** The chunks of a still WebP that hold its picture. */
function imageChunks(bytes) {
  const view = new DataView(bytes.buffer);
  const found = [];
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true), end = at + 8 + size + (size % 2);
    if (["VP8 ", "VP8L", "ALPH"].includes(latin1.decode(bytes.subarray(at, at + 4)))) found.push(bytes.subarray(at, end));
    at = end;
  }
  return concat(...found);
}

/** A film of canvases by the browser's own encoder, or null if it has none; it takes as long as the film. */
export async function toFilm(canvases, fps) {
  const kinds = ["video/mp4;codecs=avc1.42E01E", "video/mp4", "video/webm;codecs=vp9", "video/webm"];
  const type = globalThis.MediaRecorder && kinds.find((kind) => MediaRecorder.isTypeSupported(kind));
  if (!type) return null;
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [canvases[0].width, canvases[0].height];
  const context = canvas.getContext("2d");
  context.drawImage(canvases[0], 0, 0);
  const recorder = new MediaRecorder(canvas.captureStream(fps), { mimeType: type, videoBitsPerSecond: 4e6 });
  const parts = [];
  recorder.ondataavailable = ({ data }) => parts.push(data);
  const stopped = new Promise((resolve) => (recorder.onstop = resolve));
  recorder.start();
  for (const frame of canvases) {
    context.drawImage(frame, 0, 0);
    await new Promise((resolve) => setTimeout(resolve, 1000 / fps));
  }
  recorder.stop();
  await stopped;
  return new Blob(parts, { type: type.split(";")[0] });
}

export function save(blob, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
