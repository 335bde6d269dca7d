// SPDX-License-Identifier: Apache-2.0
// The page: filters, the search, keys, and the address that leads back to what is seen.
"use strict";

const field = document.getElementById("search");
const facets = document.getElementById("facets");
const TITLES = { split: "Split", task: "Task", answer: "Answer", scene: "Scene" };
const FIRST = 40; // values of a facet before "more"
const unfolded = new Set();
let now = { list: new Uint32Array(0), counts: {} };

function refresh(keepId) {
  now = results();
  showFacets();
  showCount();
  list.current = -1;
  list.scroll.scrollTop = 0;
  showList(now.list);
  document.getElementById("none").hidden = now.list.length > 0;
  list.scroll.hidden = now.list.length === 0;
  const kept = keepId === undefined ? -1 : now.list.indexOf(keepId);
  if (!now.list.length) noRecord();
  else if (kept >= 0) choose(kept, false);
  else if (!isPhone()) choose(0, false);
  else noRecord();
  if (!now.list.length || (kept < 0 && isPhone())) document.body.classList.remove("reading");
  keepAddress();
}

function isPhone() {
  return matchMedia("(max-width: 48rem)").matches;
}

function showCount() {
  const { rows, all, text_rows: each } = store.head;
  const listed = now.list.length.toLocaleString("en");
  const of = rows.toLocaleString("en");
  const some = all > rows ? `, a choice among ${all.toLocaleString("en")}` : "";
  const pending = found && searched < Math.ceil(rows / each) ? "; searching …" : "";
  document.getElementById("count").textContent =
    (now.list.length === rows ? `${of} records${some}` : `${listed} of ${of} records${some}`) + pending;
  const active = FACETS.reduce((sum, facet) => sum + chosen[facet].size, 0);
  const badge = document.getElementById("active");
  badge.hidden = !active;
  badge.textContent = active;
}

// Show the record of an index of the list; `open` also turns to it where it has no place beside.
function choose(index, open) {
  list.current = index;
  reveal(index);
  showRecord(now.list[index]);
  if (open && isPhone() && !document.body.classList.contains("reading")) {
    document.body.classList.add("reading");
    history.pushState({ reading: true }, "", location.hash);
    pane.focus({ preventScroll: true });
  }
  keepAddress();
}

function step(by) {
  if (!now.list.length) return;
  choose(Math.min(Math.max(list.current + by, 0), now.list.length - 1), false);
}

function back() {
  if (history.state && history.state.reading) history.back();
  else document.body.classList.remove("reading");
}

function showFacets() {
  const scroll = facets.scrollTop;
  const focus = facets.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const folds = Object.fromEntries([...facets.querySelectorAll("details")].map((d) => [d.dataset.facet, d.open]));
  const parts = ["split", "answer", "task", "scene"].filter((facet) => valuesOf(facet).length > (facet === "task" ? 0 : 1));
  facets.replaceChildren(...parts.map((facet) => facetNode(facet, folds[facet])));
  const any = FACETS.some((facet) => chosen[facet].size) || words.length;
  if (any) facets.prepend(el("button", { type: "button", class: "clear", on: { click: clearAll } }, "Clear all filters"));
  facets.scrollTop = scroll;
  if (focus) facets.querySelector(`[data-key="${CSS.escape(focus)}"]`)?.focus();
}

function facetNode(facet, open) {
  const values = valuesOf(facet);
  const counts = now.counts[facet];
  const order = [...values.keys()].filter((k) => counts[k] || chosen[facet].has(k));
  if (facet === "scene") order.sort((a, b) => values[a].localeCompare(values[b], "en", { numeric: true }));
  const most = Math.max(1, ...order.map((k) => counts[k]));
  const about = facet === "answer" ? store.head.tasks[answerTask()].about : "";
  const node = el("details", { class: `facet ${facet}`, "data-facet": facet },
    el("summary", {}, TITLES[facet], about ? el("small", {}, about) : null));
  node.open = open ?? (facet !== "scene" || values.length <= 12);
  const rows = el("ul", {});
  let family = "";
  const shownOrder = unfolded.has(facet) || facet !== "scene" ? order : order.slice(0, FIRST);
  for (const k of shownOrder) {
    const name = values[k];
    if (facet === "task" && name.split(".")[0] !== family) {
      family = name.split(".")[0];
      rows.append(el("li", { class: "family" }, family.replaceAll("_", " ")));
    }
    rows.append(el("li", {}, valueNode(facet, k, facet === "task" ? taskLabel(name.slice(family.length + 1)) : name, counts[k], most)));
  }
  node.append(rows);
  if (shownOrder.length < order.length) {
    const more = () => (unfolded.add(facet), showFacets());
    node.append(el("button", { type: "button", class: "more", on: { click: more } }, `${order.length - shownOrder.length} more`));
  }
  return node;
}

function valueNode(facet, k, text, count, most) {
  const bar = el("i", { "aria-hidden": "true" });
  bar.style.width = `${(100 * count) / most}%`;
  return el("button", {
    type: "button", "data-key": `${facet}:${k}`, "data-value": valuesOf(facet)[k],
    "aria-pressed": chosen[facet].has(k) ? "true" : "false", on: { click: () => toggle(facet, k) },
  }, bar, el("span", {}, text), el("b", {}, count.toLocaleString("en")));
}

function toggle(facet, k) {
  const values = chosen[facet];
  if (values.has(k)) values.delete(k);
  else values.add(k);
  if (facet === "task") chosen.answer.clear();
  refresh(shown ? shown.position : undefined);
}

function clearAll() {
  for (const facet of FACETS) chosen[facet].clear();
  document.getElementById("unknown").hidden = true;
  field.value = "";
  look("", () => refresh(shown ? shown.position : undefined));
}

// The address: filters, words, and the id of the record, so that it can be kept and sent.
function address(id) {
  const parts = new URLSearchParams();
  for (const facet of FACETS) for (const k of chosen[facet]) parts.append(facet, valuesOf(facet)[k]);
  if (field.value.trim()) parts.set("q", field.value.trim());
  if (id) parts.set("id", id);
  return `#${parts}`;
}

function permalink(id) {
  return `#${new URLSearchParams({ id })}`;
}

let written = "";
async function keepAddress() {
  const mine = list.current >= 0 && shown ? shown : null;
  const card = mine ? await cardAt(mine.position).catch(() => null) : null;
  if (mine !== (list.current >= 0 ? shown : null)) return;
  written = address(card ? card.id : "");
  if (written !== location.hash) history.replaceState(history.state, "", written);
}

async function readAddress() {
  const parts = new URLSearchParams(location.hash.slice(1));
  const unknown = [...parts.keys()].filter((key) => ![...FACETS, "q", "id"].includes(key));
  for (const facet of FACETS) {
    chosen[facet].clear();
    const values = valuesOf(facet); // of the answer: those of the task, which comes before it
    for (const name of parts.getAll(facet)) {
      if (values.includes(name)) chosen[facet].add(values.indexOf(name));
      else unknown.push(`${facet} ${name}`);
    }
  }
  const note = document.getElementById("unknown");
  note.hidden = !unknown.length;
  note.textContent = `Not in this data, so not filtered by: ${unknown.join(", ")}.`;
  field.value = parts.get("q") || "";
  const id = parts.get("id");
  const position = id ? await positionOf(id).catch(() => -1) : -1;
  let first = true;
  await look(field.value, () => {
    refresh(first && position >= 0 ? position : shown ? shown.position : undefined);
    first = false;
  });
  if (position >= 0 && !now.list.includes(position)) showRecord(position); // beside the filters
  if (position >= 0 && isPhone()) document.body.classList.add("reading");
  if (id && position < 0) {
    noRecord();
    pane.append(el("p", { class: "lost" }, `No record here has the id ${id}.`));
  }
}

let typing = 0;
field.addEventListener("input", () => {
  clearTimeout(typing);
  typing = setTimeout(() => look(field.value, () => refresh(shown ? shown.position : undefined)), 60);
});

function toggleFilters(open) {
  document.body.classList.toggle("filtering", open);
  document.getElementById("filters").setAttribute("aria-expanded", String(document.body.classList.contains("filtering")));
}

document.getElementById("filters").addEventListener("click", () => toggleFilters());
document.getElementById("keys").addEventListener("click", () => document.getElementById("help").showModal());
document.getElementById("clear").addEventListener("click", clearAll);

const KEYS = {
  j: () => step(1), ArrowDown: () => step(1), k: () => step(-1), ArrowUp: () => step(-1),
  "/": () => (field.focus(), field.select()),
  a: () => document.body.classList.toggle("no-answers"),
  w: () => {
    const why = pane.querySelector("details.why");
    if (why) why.open = !why.open;
  },
  z: () => shown && shown.card && openZoom(shown.card, shown.scene, 0),
  "?": () => document.getElementById("help").showModal(),
  Enter: () => list.current >= 0 && choose(list.current, true),
  Escape: () => (document.body.classList.contains("filtering") ? toggleFilters(false) : back()),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (event.target === field) {
    if (event.key === "Escape" || event.key === "Enter") list.scroll.focus();
    return;
  }
  const inFacets = facets.contains(event.target);
  if (inFacets && ["Enter", "ArrowDown", "ArrowUp"].includes(event.key)) return;
  if (event.key === "Enter" && event.target.closest("button, a, summary")) return;
  const act = KEYS[event.key];
  if (!act) return;
  act();
  event.preventDefault();
});

addEventListener("popstate", () => document.body.classList.remove("reading"));
addEventListener("hashchange", () => location.hash !== written && readAddress());

readAddress();
