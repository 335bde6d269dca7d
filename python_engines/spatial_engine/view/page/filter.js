// SPDX-License-Identifier: Apache-2.0
// Which records are listed: facets, and words that all must occur. Counts of a facet's values are
// of the records that every other facet lets through.
"use strict";

const FACETS = ["split", "task", "answer", "scene"];
const chosen = { split: new Set(), task: new Set(), answer: new Set(), scene: new Set() };
let words = [];
let found = null; // Uint8Array by position, or null when nothing is searched
let searched = 0; // texts that the search has looked through

function answerTask() {
  if (chosen.task.size === 1) return [...chosen.task][0];
  return store.head.tasks.length === 1 ? 0 : -1;
}

function valuesOf(facet) {
  const head = store.head;
  if (facet === "task") return head.tasks.map((task) => task.name);
  if (facet === "split") return head.splits;
  if (facet === "scene") return head.scenes;
  return answerTask() < 0 ? [] : head.tasks[answerTask()].answers;
}

// Positions in the order listed: one of each task in turn, so that the first screens show all.
function mixedOrder() {
  const { tasks, rows } = store.head;
  const order = new Uint32Array(rows);
  const live = tasks.map((task) => [task.start, task.start + task.rows]);
  for (let k = 0; k < rows; ) {
    for (const span of live) if (span[0] < span[1]) order[k++] = span[0]++;
  }
  return order;
}

let order = null;

function results() {
  order ||= mixedOrder();
  if (answerTask() < 0) chosen.answer.clear();
  const columns = { ...store.columns, task: store.taskOf };
  const counts = {};
  const allowed = {};
  for (const facet of FACETS) {
    const size = valuesOf(facet).length;
    counts[facet] = new Uint32Array(Math.max(size, 1));
    allowed[facet] = null;
    if (chosen[facet].size) {
      allowed[facet] = new Uint8Array(Math.max(size, 256));
      for (const value of chosen[facet]) allowed[facet][value] = 1;
    }
  }
  const [a, b, c, d] = FACETS.map((facet) => columns[facet]);
  const [pa, pb, pc, pd] = FACETS.map((facet) => allowed[facet]);
  const [ca, cb, cc, cd] = FACETS.map((facet) => counts[facet]);
  const asked = answerTask();
  const list = new Uint32Array(order.length);
  let size = 0;
  for (let k = 0; k < order.length; k++) {
    const i = order[k];
    if (found && !found[i]) continue;
    const fa = pa && !pa[a[i]], fb = pb && !pb[b[i]], fc = pc && !pc[c[i]], fd = pd && !pd[d[i]];
    const failed = (fa ? 1 : 0) + (fb ? 1 : 0) + (fc ? 1 : 0) + (fd ? 1 : 0);
    if (failed > 1) continue;
    if (!failed) list[size++] = i;
    if (!failed || fa) ca[a[i]]++;
    if (!failed || fb) cb[b[i]]++;
    if ((!failed || fc) && b[i] === asked) cc[c[i]]++;
    if (!failed || fd) cd[d[i]]++;
  }
  return { list: list.subarray(0, size), counts };
}

function wordsOf(text) {
  return text.toLowerCase().split(/\s+/).filter(Boolean).sort((x, y) => y.length - x.length);
}

// Look for the words in all texts; those that are not loaded yet follow, and `changed` is called.
let search = 0;
async function look(text, changed) {
  const mine = ++search;
  words = wordsOf(text);
  searched = 0;
  found = words.length ? new Uint8Array(store.head.rows) : null;
  if (!found) return changed();
  const count = Math.ceil(store.head.rows / store.head.text_rows);
  for (let k = 0; k < count; k++) {
    if (!store.texts[k]) {
      if (searched) changed();
      const text = await load("text", k);
      store.texts[k] ||= { text, starts: startsOf(text) };
      if (mine !== search) return undefined;
    }
    lookIn(store.texts[k], k * store.head.text_rows);
    searched = k + 1;
  }
  return changed();
}

function startsOf(text) {
  const starts = [0];
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) starts.push(at + 1);
  starts.push(text.length + 1);
  return Uint32Array.from(starts);
}

function lookIn({ text, starts }, first) {
  const [longest, ...others] = words;
  let row = 0;
  for (let at = text.indexOf(longest); at >= 0; at = text.indexOf(longest, starts[row])) {
    let high = starts.length - 1;
    while (high - row > 1) {
      const middle = (row + high) >> 1;
      if (starts[middle] <= at) row = middle;
      else high = middle;
    }
    const line = others.length ? text.slice(starts[row], starts[row + 1] - 1) : "";
    if (others.every((word) => line.includes(word))) found[first + row] = 1;
    row++;
    if (row >= starts.length - 1) break;
  }
}
