// SPDX-License-Identifier: Apache-2.0
// What the page knows: the head, loaded with it, and data files, loaded as scripts when needed.
// A page that was opened from a disk may load scripts, and may not fetch.
"use strict";

const store = {
  head: null, // title, tasks, scenes, splits
  columns: {}, // scene, split, answer, hash: typed arrays by position
  taskOf: null, // task of each position
  texts: [], // {text, starts} of each file that is searched
  waiting: new Map(), // "kind/number" -> {resolve, reject}
  kept: new Map(), // "kind/number" -> promise; the oldest pages go first
};

const PAGES_KEPT = 160;
const FOLDER = { page: "pages", text: "texts", scene: "scenes" };
const DATA_FILE = /^(pages|texts|scenes)\/\d+\.js$/;

const policy = window.trustedTypes
  ? trustedTypes.createPolicy("spatialcore", {
      createScriptURL(path) {
        if (!DATA_FILE.test(path)) throw new TypeError(`not a data file: ${path}`);
        return path;
      },
    })
  : { createScriptURL: (path) => path };

function spatialcoreData(kind, number, value) {
  if (kind === "head") return takeHead(value);
  const waiting = store.waiting.get(`${kind}/${number}`);
  if (waiting) waiting.value = value;
}

function takeHead(head) {
  store.head = head;
  for (const [name, packed] of Object.entries(head.columns)) {
    const bytes = Uint8Array.from(atob(packed.base64), (c) => c.charCodeAt(0));
    const kind = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array }[packed.bytes];
    store.columns[name] = new kind(bytes.buffer);
  }
  head.columns = null;
  store.taskOf = new Uint16Array(head.rows);
  let start = 0;
  head.tasks.forEach((task, k) => {
    task.start = start;
    store.taskOf.fill(k, start, (start += task.rows));
  });
}

// The content of a data file; asked for once while it is kept.
function load(kind, number) {
  const key = `${kind}/${number}`;
  let promise = store.kept.get(key);
  if (!promise) {
    promise = new Promise((resolve, reject) => {
      const path = `${FOLDER[kind]}/${number}.js`;
      const script = document.createElement("script");
      const entry = { value: undefined };
      store.waiting.set(key, entry);
      const ended = () => {
        script.remove();
        store.waiting.delete(key);
        if (entry.value === undefined) {
          store.kept.delete(key);
          reject(new Error(`${path} cannot be loaded`));
        } else resolve(entry.value);
      };
      script.onload = ended;
      script.onerror = ended;
      script.src = policy.createScriptURL(path);
      document.head.append(script);
    });
    if (kind !== "page") store.kept.set(key, promise);
  }
  if (kind === "page") {
    store.kept.delete(key); // to the end: used last
    store.kept.set(key, promise);
    forgetPages();
  }
  return promise;
}

function forgetPages() {
  const pages = [...store.kept.keys()].filter((key) => key.startsWith("page/"));
  for (const key of pages.slice(0, Math.max(0, pages.length - PAGES_KEPT))) store.kept.delete(key);
}

// Where the record of a position lies: its data file, and its row in it.
function placeOf(position) {
  const task = store.head.tasks[store.taskOf[position]];
  const row = position - task.start;
  return [task.page + Math.floor(row / store.head.page_rows), row % store.head.page_rows];
}

async function cardAt(position) {
  const [page, row] = placeOf(position);
  return (await load("page", page))[row];
}

// The map of a scene, or null where it has none.
async function sceneOf(number) {
  if (!store.head.maps.includes(number)) return null;
  return load("scene", number);
}

// The position of an id, or -1: the id names its task, and the head holds 32 bits of its hash.
async function positionOf(id) {
  const name = id.slice(0, id.indexOf("/"));
  const task = store.head.tasks.find((one) => one.name === name);
  if (!task) return -1;
  const pages = Math.ceil(task.rows / store.head.page_rows);
  for (let page = 0; page < pages; page++) {
    const row = (await load("page", task.page + page)).findIndex((card) => card.id === id);
    if (row >= 0) return task.start + page * store.head.page_rows + row;
  }
  return -1;
}
