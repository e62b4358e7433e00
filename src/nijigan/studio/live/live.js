"use strict";

const EVERY = 5000; // ms between two questions
const FRAME = 350; // ms a grid is shown while the timelapse plays
const STATES = {
  new: "Just begun", running: "Training", finished: "Finished", stopped: "Stopped: continue with nijigan resume",
};
const STYLES = 6; // colours of curves, each with its own dashes
const WIDTH = 480, HEIGHT = 230, LEFT = 52, RIGHT = 14, TOP = 10, BOTTOM = 40;

const part = (id) => document.getElementById(id);
let grids = [];
let shown = -1; // index of the grid on the page; the newest one follows the run
let follows = true;
let player = null;

// ---- text

function number(value) {
  const size = Math.abs(value);
  if (size === 0) return "0";
  if (size >= 1e5 || size < 1e-3) return value.toExponential(1);
  return value.toLocaleString("en", { maximumSignificantDigits: size >= 1000 ? 4 : 3 });
}

function kimg(value) {
  return value.toLocaleString("en", { maximumFractionDigits: value < 10 ? 2 : 1 });
}

function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`;
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}

function node(name, attributes = {}, ...children) {
  const svg = ["svg", "g", "line", "path", "polyline", "polygon", "circle", "text", "rect", "title"].includes(name);
  const made = svg ? document.createElementNS("http://www.w3.org/2000/svg", name) : document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// ---- axes

function ticks(low, high, most) {
  const span = high - low || Math.abs(high) || 1;
  const power = 10 ** Math.floor(Math.log10(span / most));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => span / size <= most);
  const found = [];
  for (let i = Math.floor(low / step); i <= Math.ceil((low + span) / step - 1e-9); i += 1) found.push(i * step);
  return found;
}

function scales(chart, end) {
  const points = chart.curves.flatMap((curve) => [
    ...curve.points, ...curve.band.flatMap(([x, low, high]) => [[x, low], [x, high]]),
  ]);
  const values = points.map(([, value]) => value);
  let low = Math.min(...values), high = Math.max(...values);
  const logarithmic = low > 0 && high > 50 * low;
  let marks;
  if (logarithmic) {
    const bottom = Math.floor(Math.log10(low)), top = Math.ceil(Math.log10(high));
    const step = Math.ceil((top - bottom) / 6);
    marks = [];
    for (let power = bottom; power <= top; power += step) marks.push(10 ** power);
    low = Math.min(low, marks[0]);
    high = Math.max(high, marks[marks.length - 1]);
  } else {
    marks = ticks(Math.min(0, low), high, 6);
    low = marks[0];
    high = marks[marks.length - 1];
  }
  const scale = logarithmic ? Math.log10 : (value) => value;
  const x = (value) => LEFT + (WIDTH - LEFT - RIGHT) * value / end;
  const y = (value) => HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * (scale(value) - scale(low)) / (scale(high) - scale(low));
  return { x, y, marks, logarithmic };
}

// ---- one chart

function format(chart, value) {
  return chart.share ? `${(100 * value).toLocaleString("en", { maximumFractionDigits: 1 })} %` : number(value);
}

function frame(chart, axes, end) {
  const parts = [];
  for (const mark of axes.marks) {
    const y = axes.y(mark).toFixed(1);
    parts.push(node("line", { class: "rule", x1: LEFT, y1: y, x2: WIDTH - RIGHT, y2: y }));
    parts.push(node("text", { x: LEFT - 6, y: Number(y) + 4, "text-anchor": "end" }, format(chart, mark)));
  }
  for (const mark of ticks(0, end, 6).filter((value) => value <= end * 1.0001)) {
    parts.push(node("text", { x: axes.x(mark).toFixed(1), y: HEIGHT - BOTTOM + 17, "text-anchor": "middle" }, number(mark)));
  }
  parts.push(node("text", { x: (LEFT + WIDTH - RIGHT) / 2, y: HEIGHT - 5, "text-anchor": "middle" }, "kimg"));
  return parts;
}

function curveParts(curve, index, axes) {
  const style = index % STYLES;
  const place = ([x, y]) => `${axes.x(x).toFixed(1)},${axes.y(y).toFixed(1)}`;
  const parts = [];
  if (curve.band.length > 1) {
    const edge = [...curve.band.map(([x, low]) => [x, low]), ...curve.band.map(([x, , high]) => [x, high]).reverse()];
    parts.push(node("polygon", { class: `band f${style}`, points: edge.map(place).join(" ") }));
  }
  parts.push(node("polyline", { class: `curve s${style}`, points: curve.points.map(place).join(" ") }));
  if (curve.points.length < 20) {
    for (const point of curve.points) {
      const [cx, cy] = place(point).split(",");
      parts.push(node("circle", { class: `dot f${style}`, cx, cy, r: 3.5 }));
    }
  }
  return parts;
}

function nearest(points, at) {
  let low = 0, high = points.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (points[middle][0] < at) low = middle; else high = middle;
  }
  return at - points[low][0] < points[high][0] - at ? low : high;
}

function legend(chart, at) {
  return chart.curves.map((curve, index) => {
    const [x, value] = curve.points[at === null ? curve.points.length - 1 : nearest(curve.points, at)];
    const line = node("line", { class: `curve s${index % STYLES}`, x1: 0, y1: 5, x2: 28, y2: 5 });
    const key = node("svg", { viewBox: "0 0 28 10", "aria-hidden": "true" }, line);
    return node("li", {}, key, `${curve.label}: `, node("b", {}, format(chart, value)), ` at ${kimg(x)} kimg`);
  });
}

function summary(chart, axes) {
  const ends = chart.curves.map((curve) => {
    const [[, first], [at, last]] = [curve.points[0], curve.points[curve.points.length - 1]];
    return `${curve.label}, from ${format(chart, first)} to ${format(chart, last)} at ${kimg(at)} kimg`;
  });
  return `${chart.title}${axes.logarithmic ? ", logarithmic scale" : ""}: ${ends.join("; ")}. Arrow keys read values.`;
}

const positions = new Map(); // by chart, the kimg that is read; it survives a redraw

function draw(chart, end) {
  const axes = scales(chart, end);
  const svg = node("svg", {
    class: "chart", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", tabindex: "0", "aria-label": summary(chart, axes),
  });
  svg.append(...frame(chart, axes, end), ...chart.curves.flatMap((curve, index) => curveParts(curve, index, axes)));
  const cursor = node("line", { class: "cursor", y1: TOP, y2: HEIGHT - BOTTOM });
  const list = node("ul", { class: "legend", "aria-live": "polite" });
  const read = (at) => {
    positions.set(chart.name, at);
    list.replaceChildren(...legend(chart, at));
    if (at === null) cursor.remove();
    else {
      cursor.setAttribute("x1", axes.x(at).toFixed(1));
      cursor.setAttribute("x2", axes.x(at).toFixed(1));
      svg.append(cursor);
    }
  };
  svg.addEventListener("pointermove", (event) => {
    const box = svg.getBoundingClientRect();
    const at = (((event.clientX - box.left) / box.width) * WIDTH - LEFT) / (WIDTH - LEFT - RIGHT) * end;
    read(Math.min(end, Math.max(0, at)));
  });
  svg.addEventListener("pointerleave", () => read(null));
  svg.addEventListener("blur", () => read(null));
  svg.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const points = chart.curves[0].points;
    const at = positions.get(chart.name) ?? null;
    const index = at === null ? points.length - 1 : nearest(points, at) + step;
    read(points[Math.min(points.length - 1, Math.max(0, index))][0]);
  });
  read(positions.get(chart.name) ?? null);
  const heading = node("h3", {}, chart.title + (axes.logarithmic ? " (logarithmic scale)" : ""));
  return node("figure", { "data-name": chart.name }, heading, svg, list);
}

let drawn = ""; // what the curves show, so that an unchanged page stays still

function showCurves(progress) {
  const charts = progress.charts;
  part("curves").hidden = charts.length === 0;
  const state = JSON.stringify(charts);
  if (state === drawn || charts.length === 0) return;
  drawn = state;
  const end = Math.max(...charts.flatMap((chart) => chart.curves.flatMap((curve) => curve.points.map(([x]) => x)))) || 1;
  const focused = document.activeElement?.closest?.("figure[data-name]")?.dataset.name;
  const figures = charts.map((chart) => draw(chart, end));
  const read = [...positions]; // the curves that go lose the focus, and with it what is read on them
  document.querySelector(".charts").replaceChildren(...figures);
  for (const [name, at] of read) positions.set(name, at);
  if (focused) figures.find((figure) => figure.dataset.name === focused)?.querySelector("svg").focus();
}

// ---- the grids

function showGrid(index) {
  if (!grids.length) return;
  shown = Math.min(grids.length - 1, Math.max(0, index));
  const { name, kimg: seen } = grids[shown];
  const text = `${kimg(seen)} kimg: grid ${shown + 1} of ${grids.length}${shown === grids.length - 1 ? ", the newest" : ""}`;
  const source = `grids/${name}.png`;
  if (part("grid").getAttribute("src") !== source) part("grid").setAttribute("src", source);
  part("grid").alt = `Generated faces after ${kimg(seen)} kimg`;
  part("grid-name").textContent = text;
  part("slider").value = shown;
  part("slider").setAttribute("aria-valuetext", text);
  new Image().src = `grids/${grids[Math.min(grids.length - 1, shown + 1)].name}.png`; // the next one is there in time
}

function stop() {
  clearInterval(player);
  player = null;
  part("play").textContent = "Play";
  part("grid-name").setAttribute("aria-live", "polite");
}

function play() {
  if (player) return stop();
  part("play").textContent = "Pause";
  part("grid-name").setAttribute("aria-live", "off"); // nobody can listen to three sentences a second
  showGrid(shown === grids.length - 1 ? 0 : shown);
  player = setInterval(() => {
    if (shown >= grids.length - 1) {
      follows = true;
      stop();
    } else showGrid(shown + 1);
  }, FRAME);
}

part("play").addEventListener("click", play);
part("slider").addEventListener("input", (event) => {
  if (player) stop();
  showGrid(Number(event.target.value));
  follows = shown === grids.length - 1;
});
part("grid").addEventListener("error", () => { // a run that went on from an earlier point has removed it
  part("grid").removeAttribute("src");
  part("grid-name").textContent = "This grid is not there any more.";
});

function showGrids(progress) {
  const name = grids[shown]?.name;
  grids = progress.grids;
  part("grids").hidden = grids.length === 0;
  part("slider").max = Math.max(0, grids.length - 1);
  part("play").disabled = part("slider").disabled = grids.length < 2;
  if (!grids.length) return;
  if (player) return;
  const same = grids.findIndex((grid) => grid.name === name);
  showGrid(follows || same < 0 ? grids.length - 1 : same);
}

// ---- the rest of the page

function headline(progress) {
  const parts = [];
  if (progress.seconds_left !== null) parts.push(`${duration(progress.seconds_left)} left`);
  if (progress.state === "running" && progress.images_per_second) {
    parts.push(`${number(progress.images_per_second)} images/s`);
  }
  if (progress.state === "stopped" && progress.updated) {
    parts.push(`no sign of life for ${duration(Date.now() / 1000 - progress.updated)}`);
  }
  if (progress.seconds && progress.state !== "running") parts.push(`${duration(progress.seconds)} of training`);
  return parts.join(" · ");
}

function position(progress) {
  if (progress.state === "new") return progress.total_kimg ? `${kimg(progress.total_kimg)} kimg in all` : "";
  const done = progress.total_kimg === null
    ? `${kimg(progress.kimg)} kimg` : `${kimg(progress.kimg)} of ${kimg(progress.total_kimg)} kimg`;
  return progress.fraction === null ? done : `${done} (${Math.floor(100 * progress.fraction)} %)`;
}

function showNumbers(progress) {
  const items = progress.latest.map(({ label, value, share }) => node(
    "div", {}, node("dt", {}, label[0].toUpperCase() + label.slice(1)), node("dd", {}, format({ share }, value)),
  ));
  part("numbers").querySelector("dl").replaceChildren(...items);
  part("numbers").hidden = items.length === 0 && !progress.report;
  part("report").hidden = !progress.report;
}

function withOptions(text) { // options of the command line stay on one line
  return text.split(/(--[a-z][\w.-]*[\w](?: [\w.-]*\w)?)/).map((piece, index) => (index % 2 ? node("code", {}, piece) : piece));
}

function showWarnings(progress) {
  const items = progress.warnings.map(({ kimg: at, text }) => node(
    "li", {}, node("span", { class: "soft" }, `at ${kimg(at)} kimg`), ...withOptions(text),
  )).reverse();
  part("warnings").hidden = items.length === 0;
  part("warnings").querySelector("ul").replaceChildren(...items);
}

function show(progress) {
  const named = progress.recipe && progress.recipe !== progress.name;
  const title = named ? `${progress.recipe}: ${progress.name}` : progress.name;
  const percent = progress.fraction === null || progress.state === "new" ? "" : `${Math.floor(100 * progress.fraction)} % · `;
  document.title = `${percent}${title}`;
  part("title").textContent = title;
  const unknown = progress.state === "new" && Boolean(progress.problem); // what there is cannot be read
  const state = unknown ? "Unknown" : STATES[progress.state];
  if (part("state").textContent !== state) part("state").textContent = state;
  part("state").className = `state ${progress.state}`;
  part("headline").textContent = headline(progress);
  part("headline").hidden = !part("headline").textContent;
  part("bar").value = progress.fraction ?? 0;
  part("position").textContent = position(progress);
  part("empty").hidden = progress.state !== "new" || unknown;
  part("problem").textContent = progress.problem ?? "";
  part("problem").hidden = !progress.problem;
  showWarnings(progress);
  showGrids(progress);
  showNumbers(progress);
  showCurves(progress);
}

let lost = null; // since when the server has not answered

async function watch() {
  try {
    const response = await fetch("progress.json", { cache: "no-store", signal: AbortSignal.timeout(30000) });
    if (!response.ok) throw new Error(`status ${response.status}`);
    show(await response.json());
    lost = null;
    part("lost").hidden = true;
  } catch {
    if (lost === null) { // said once: an alert that changes would be read aloud every five seconds
      lost = new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
      part("lost").textContent = `The server has not answered since ${lost}. What is shown may be out of date; this page ` +
        "keeps trying. A training does not need the server.";
    }
    part("lost").hidden = false;
  }
  setTimeout(watch, EVERY);
}

watch();
