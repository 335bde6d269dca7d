// SPDX-License-Identifier: Apache-2.0
// One record: images, question, answer, and why.
"use strict";

const pane = document.getElementById("record");
let shown = null; // {position, card, scene}

async function showRecord(position) {
  shown = { position, card: null, scene: null };
  const mine = shown;
  try {
    const card = await cardAt(position);
    if (mine !== shown) return;
    const scene = await sceneOf(card.scene).catch(() => null);
    if (mine !== shown) return;
    Object.assign(shown, { card, scene });
    pane.replaceChildren(...recordNodes(card, scene));
    pane.scrollTop = 0;
    pane.dataset.id = card.id;
  } catch (error) {
    if (mine === shown) pane.replaceChildren(el("p", { class: "lost" }, error.message));
  }
}

function noRecord() {
  shown = null;
  delete pane.dataset.id;
  pane.replaceChildren();
}

function recordNodes(card, scene) {
  const task = store.head.tasks[store.taskOf[shown.position]];
  return [
    el("div", { class: "bar" },
      el("button", { type: "button", class: "back", on: { click: back } }, "← List"),
      el("h2", {}, taskLabel(task.name)),
      el("span", { class: "scene" }, store.head.scenes[card.scene]),
      el("button", { type: "button", "aria-label": "previous record", on: { click: () => step(-1) } }, "↑"),
      el("button", { type: "button", "aria-label": "next record", on: { click: () => step(1) } }, "↓")),
    images(card, scene),
    el("div", { class: "text" },
      el("p", { class: "question" }, ...card.q.split("\n").flatMap((line, k) => (k ? [el("br"), ...marked(line)] : marked(line)))),
      el("p", { class: "answer" }, ...answerNodes(card.a))),
    whyNodes(card, scene),
  ];
}

function images(card, scene) {
  const count = card.images.length;
  const grid = el("div", { class: `images ${count === 1 ? "one" : count === 2 ? "two" : count <= 4 ? "many" : "many lots"}` });
  card.images.forEach((_, k) => {
    const name = (card.names && card.names[k]) || String(k);
    const button = el("button", {
      type: "button", "aria-label": `zoom image ${k + 1}`, on: { click: () => openZoom(card, scene, k) },
    }, picture(card, scene, k, k > 3));
    grid.append(el("figure", {}, button, el("figcaption", {}, count > 1 ? `${k + 1} · ` : "", el("span", {}, "frame "), name)));
  });
  return grid;
}

function whyNodes(card, scene) {
  const table = el("table", {});
  for (const [name, text] of card.table || []) table.append(el("tr", {}, el("th", { scope: "row" }, name), el("td", {}, text)));
  const map = topView(card, scene);
  const section = el("details", { class: "why" }, el("summary", {}, "Why"));
  section.open = !document.body.classList.contains("no-why");
  section.addEventListener("toggle", () => {
    document.body.classList.toggle("no-why", !section.open);
  });
  const numbers = el("div", { class: "numbers" }, table,
    el("p", { class: "provenance" }, store.head.made_by[card.by], el("br"),
      el("a", { href: permalink(card.id) }, card.id)));
  if (!map) numbers.append(el("p", { class: "provenance" }, "No map: the index of the scene is not there, and the evidence names no place."));
  section.append(el("div", { class: "reasons" }, map, numbers));
  return section;
}
