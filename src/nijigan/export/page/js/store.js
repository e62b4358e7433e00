// What the page remembers on this machine: kept faces, history, families, opinions, settings.

import { fromRecord, keyOf, toRecord } from "./face.js";

const PREFIX = "nijigan.";
const MOST = { history: 200, kept: 1000, family: 2000 };

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
  constructor(name) {
    super();
    this.name = name;
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

  add(face) {
    this.save([face, ...this.without(face)].slice(0, MOST[this.name]));
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
    write(this.name, list.map(toRecord));
    this.dispatchEvent(new Event("change"));
  }
}

export const kept = new FaceList("kept");
export const history = new FaceList("history");

/** Who descends from whom: key of a face → keys of its one or two parents. */
export const family = {
  parents: (face) => faces(read("family", {})[keyOf(face)]),
  set(face, parents) {
    const tree = read("family", {});
    delete tree[keyOf(face)]; // so that it becomes the newest
    tree[keyOf(face)] = parents.map(toRecord);
    const rows = Object.entries(tree);
    write("family", Object.fromEntries(rows.slice(Math.max(0, rows.length - MOST.family))));
  },
  children(face) {
    const key = keyOf(face);
    return faces(Object.entries(read("family", {})).filter(([, parents]) => parents.includes(key)).map(([child]) => child));
  },
};

/** Good or bad: record of a face → true or false. */
export const opinions = {
  get: (face) => read("opinions", {})[keyOf(face)],
  set: (face, good) => write("opinions", { ...read("opinions", {}), [keyOf(face)]: good }),
  all: () => read("opinions", {}),
};
