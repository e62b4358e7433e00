// Seeds to latents, as `nijigan.generator.latents` specifies them: the same face from the same seed as in Python.

const LATENT_STREAM = 0;
const ATTRIBUTE_STREAM = 1;
const ROUNDS = 10;
const TWO_32 = 2 ** 32;

/** The upper 32 bits of the product of two 32-bit words. */
function high(a, b) {
  const a1 = a >>> 16, a0 = a & 0xffff, b1 = b >>> 16, b0 = b & 0xffff;
  const middle = a1 * b0 + ((a0 * b0) >>> 16);
  const carry = (middle & 0xffff) + a0 * b1;
  return (a1 * b1 + Math.floor(middle / 65536) + Math.floor(carry / 65536)) >>> 0;
}

/** Philox-4x32-10: four random words from a counter of four words and a key of two. */
export function philox([a, b, c, d], [low, top]) {
  for (let round = 0; round < ROUNDS; round++) {
    const firstHigh = high(a, 0xd2511f53), firstLow = Math.imul(a, 0xd2511f53) >>> 0;
    const secondHigh = high(c, 0xcd9e8d57), secondLow = Math.imul(c, 0xcd9e8d57) >>> 0;
    [a, b, c, d] = [(secondHigh ^ b ^ low) >>> 0, secondLow, (firstHigh ^ d ^ top) >>> 0, firstLow];
    low = (low + 0x9e3779b9) >>> 0;
    top = (top + 0xbb67ae85) >>> 0;
  }
  return [a, b, c, d];
}

/** The first `count` uniform numbers, in (0, 1), of a stream of a seed (a BigInt). */
function uniform(seed, count, stream) {
  const key = [Number(seed & 0xffffffffn), Number(seed >> 32n)];
  const numbers = [];
  for (let block = 0; numbers.length < count; block++) {
    for (const word of philox([block, 0, stream, 0], key)) numbers.push((word + 0.5) / TWO_32);
  }
  return numbers.slice(0, count);
}

/** The first `count` normal numbers of a seed's latent stream, rounded to float32 (Box and Muller). */
function normal(seed, count) {
  const numbers = uniform(seed, count + (count % 2), LATENT_STREAM);
  const found = new Float32Array(numbers.length);
  for (let pair = 0; pair < numbers.length; pair += 2) {
    const radius = Math.sqrt(-2 * Math.log(numbers[pair]));
    const angle = 2 * Math.PI * numbers[pair + 1];
    found[pair] = radius * Math.cos(angle);
    found[pair + 1] = radius * Math.sin(angle);
  }
  return found.subarray(0, count);
}

function truncatedNormal(seed, size) {
  for (let count = size + 4; ; count += Math.floor(count / 8) + 4) {
    const inside = normal(seed, count).filter((number) => Math.abs(number) <= 2);
    if (inside.length >= size) return inside.slice(0, size);
  }
}

/** Scale to the length sqrt(size). */
function toSphere(latent) {
  const squares = latent.reduce((sum, number) => sum + number * number, 0);
  const scale = Math.sqrt(latent.length / squares);
  return latent.map((number) => scale * number);
}

/** The latent of a seed (a BigInt): a Float32Array of `size` numbers. */
export function latentOf(seed, { size, prior }) {
  if (prior === "uniform") return Float32Array.from(uniform(seed, size, LATENT_STREAM), (number) => 2 * number - 1);
  if (prior === "truncated-normal") return truncatedNormal(seed, size);
  const latent = normal(seed, size);
  return prior === "sphere" ? toSphere(latent) : Float32Array.from(latent);
}

/** The number in (0, 1) by which a seed samples attributes. */
export function attributeDraw(seed) {
  return uniform(seed, 1, ATTRIBUTE_STREAM)[0];
}

/** Keep a latent that was moved by hand among those that the generator was trained with. */
export function within(latent, prior) {
  if (prior === "sphere") return toSphere(latent);
  if (prior === "uniform") return latent.map((number) => Math.min(1, Math.max(-1, number)));
  return latent;
}

/** Interpolate along a great circle, or linearly if the prior is uniform; t runs from 0 to 1. */
export function interpolate(start, end, t, prior) {
  const weights = prior === "uniform" ? [1 - t, t] : arc(start, end, t);
  return Float32Array.from(start, (number, index) => weights[0] * number + weights[1] * end[index]);
}

function arc(start, end, t) {
  let dot = 0, a = 0, b = 0;
  for (let index = 0; index < start.length; index++) {
    dot += start[index] * end[index];
    a += start[index] ** 2;
    b += end[index] ** 2;
  }
  const norms = Math.sqrt(a) * Math.sqrt(b);
  const angle = Math.acos(norms > 0 ? Math.min(1, Math.max(-1, dot / norms)) : 1);
  const sine = Math.sin(angle);
  return sine > 1e-6 ? [Math.sin((1 - t) * angle) / sine, Math.sin(t * angle) / sine] : [1 - t, t];
}

/** A latent near another: turned by `radius` of a right angle towards the latent of a seed. */
export function near(latent, seed, radius, space) {
  const other = latentOf(seed, space);
  if (space.prior === "uniform") return interpolate(latent, other, radius, "uniform");
  const angle = radius * Math.PI / 2;
  const mixed = Float32Array.from(latent, (n, index) => Math.cos(angle) * n + Math.sin(angle) * other[index]);
  return space.prior === "sphere" ? toSphere(mixed) : mixed;
}
