"use strict";

const KEYS = { g: "good", arrowright: "good", b: "bad", arrowleft: "bad", u: "undo", backspace: "undo" };
const part = (id) => document.getElementById(id);
const pictures = new Map(); // by position: the current face and the next one, which is preloaded

let position = null; // of the face on the screen
let busy = true;

class Refusal extends Error {} // the server's own sentence

async function ask(path, body) {
  const request = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const response = await fetch(path, request);
  if (!response.ok) {
    const text = await response.text();
    throw new Refusal(text.startsWith("{") ? JSON.parse(text).detail : text);
  }
  return response.json();
}

function picture(at) {
  if (!pictures.has(at)) {
    const image = new Image();
    image.src = `faces/${at}`;
    pictures.set(at, image);
  }
  return pictures.get(at);
}

function shares(rows) {
  const list = document.createElement("dl");
  for (const row of rows) {
    const [name, share] = row.map((text, index) => {
      const cell = document.createElement(index ? "dd" : "dt");
      cell.textContent = text;
      return cell;
    });
    list.append(name, share);
  }
  return list;
}

async function show(state) {
  const done = state.next.length === 0;
  for (const at of pictures.keys()) if (!state.next.includes(at)) pictures.delete(at);
  const face = part("face");
  if (done) {
    face.replaceChildren(shares(await ask("result")));
    position = null;
  } else {
    const image = picture(state.next[0]);
    await image.decode();
    image.alt = `Face ${state.rated + 1} of ${state.total}`;
    face.replaceChildren(image);
    position = state.next[0]; // not before it is visible: a vote must not go to a face that was not seen
    state.next.forEach(picture);
  }
  face.className = done ? "face result" : "face";
  document.querySelector("h1").textContent = done ? "Share of good faces" : "Is this a good face?";
  document.querySelector("header p").hidden = done;
  part("good").disabled = part("bad").disabled = done;
  part("undo").disabled = state.rated === 0;
  part("bar").max = state.total;
  part("bar").value = state.rated;
  part("status").textContent = done
    ? "Every face is rated and all votes are saved. Press Ctrl-C in the terminal to stop."
    : `Face ${state.rated + 1} of ${state.total}`;
}

async function act(what) {
  if (busy || part(what).disabled) return;
  busy = true;
  try {
    if (what === "undo") {
      await show(await ask("undo", {}));
    } else {
      part("face").classList.add(what);
      await show(await ask("votes", { position, good: what === "good" }));
    }
    part("problem").hidden = true;
  } catch (error) {
    complain(error);
  }
  busy = false;
}

function complain(error) {
  part("face").classList.remove("good", "bad");
  pictures.clear(); // a picture that failed to load would not load again
  part("problem").textContent = error instanceof Refusal
    ? `The server refused: ${error.message}`
    : "The server does not respond. Your votes are saved. Run the same nijigan rate command again, then open the link " +
      "that it prints.";
  part("problem").hidden = false;
}

for (const id of ["good", "bad", "undo"]) part(id).addEventListener("click", () => act(id));
document.addEventListener("keydown", (event) => {
  const what = KEYS[event.key?.toLowerCase()];
  if (!what || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  if (!event.repeat) act(what); // a key held down is one vote
});

ask("state").then(show).then(() => { busy = false; }, complain);
