// What the page remembers on this machine: kept faces, history, families, opinions, settings.

import { fromRecord, keyOf, toRecord } from "./face.js";

const PREFIX = "nijigan.";
const ROOM = { family: 1e6, opinions: 5e5 }; // characters: browsers give a site some five million, and kept faces come first

function read(name, fallback) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name)) ?? fallback;
  } catch {
    return fallback; // damaged, or storage is forbidden
  }
}

function write(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
    return true;
  } catch {
    return false; // full or forbidden
  }
}

/** A table, the newest rows last; empty if it is damaged. */
function readTable(name) {
  const found = read(name, {});
  return typeof found === "object" && !Array.isArray(found) ? found : {};
}

/** Add a row to a table; the oldest ones go if there is no room. Returns false if the browser does not store it. */
function writeRow(name, key, value) {
  const table = readTable(name);
  delete table[key]; // so that it becomes the newest
  let length = 0;
  const newest = [...Object.entries(table), [key, value]].reverse();
  const fitting = newest.filter((row) => (length += JSON.stringify(row).length) <= ROOM[name]);
  return write(name, Object.fromEntries(fitting.reverse()));
}

export const settings = {
  get: (name, fallback) => read(`settings.${name}`, fallback),
  set: (name, value) => write(`settings.${name}`, value),
};

function faces(records) {
  return (Array.isArray(records) ? records : []).flatMap((record) => {
    try {
      return [fromRecord(record)];
    } catch {
      return [];
    }
  });
}

/** A list of faces, the newest first, without repetition. */
class FaceList extends EventTarget {
  constructor(name, most) {
    super();
    this.name = name;
    this.most = most;
    this.faces = faces(read(name, []));
    addEventListener("storage", ({ key }) => {
      if (key !== PREFIX + name) return; // another tab changed it
      this.faces = faces(read(name, []));
      this.dispatchEvent(new Event("change"));
    });
  }

  has(face) {
    const key = keyOf(face);
    return this.faces.some((one) => keyOf(one) === key);
  }

  get full() {
    return this.faces.length >= this.most;
  }

  /** Add a face; the oldest goes if the list is full. Returns false if the browser does not store it. */
  add(face) {
    return this.save([face, ...this.without(face)].slice(0, this.most));
  }

  remove(face) {
    this.save(this.without(face));
  }

  clear() {
    this.save([]);
  }

  without(face) {
    const key = keyOf(face);
    return this.faces.filter((one) => keyOf(one) !== key);
  }

  save(list) {
    this.faces = list;
    const stored = write(this.name, list.map(toRecord));
    this.dispatchEvent(new Event("change"));
    return stored;
  }
}

export const kept = new FaceList("kept", 1000);
export const history = new FaceList("history", 200);

/** Who descends from whom: key of a face → keys of its one or two parents. */
export const family = {
  set: (face, parents) => writeRow("family", keyOf(face), parents.map(toRecord)),
  /** The table as it is now, to look up several faces in. */
  read() {
    const table = readTable("family");
    const rows = Object.entries(table).filter(([, parents]) => Array.isArray(parents));
    return {
      parents: (face) => faces(table[keyOf(face)]),
      children: (face) => faces(rows.filter(([, parents]) => parents.includes(keyOf(face))).map(([child]) => child)),
    };
  },
};

/** Good or bad: record of a face → true or false. */
export const opinions = {
  get: (face) => readTable("opinions")[keyOf(face)],
  set: (face, good) => writeRow("opinions", keyOf(face), good),
};
