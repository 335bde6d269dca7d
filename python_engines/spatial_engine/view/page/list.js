// SPDX-License-Identifier: Apache-2.0
// The list: rows of one height, and only those in sight are elements.
"use strict";

const ROW = 92; // pixels, as .row in page.css
const BEYOND = 6; // rows kept above and below
const list = {
  scroll: document.getElementById("scroll"),
  space: document.getElementById("space"),
  rows: document.getElementById("rows"),
  positions: new Uint32Array(0),
  nodes: new Map(), // index in the list -> element
  current: -1, // index in the list
};

function showList(positions) {
  list.positions = positions;
  list.space.style.height = `${positions.length * ROW}px`;
  for (const node of list.nodes.values()) node.remove();
  list.nodes.clear();
  drawRows();
}

function drawRows() {
  const { scroll, positions, nodes, rows } = list;
  const first = Math.max(0, Math.floor(scroll.scrollTop / ROW) - BEYOND);
  const last = Math.min(positions.length, Math.ceil((scroll.scrollTop + scroll.clientHeight) / ROW) + BEYOND);
  for (const [index, node] of nodes) {
    if (index < first || index >= last) {
      node.remove();
      nodes.delete(index);
    }
  }
  for (let index = first; index < last; index++) {
    if (!nodes.has(index)) nodes.set(index, rows.appendChild(newRow(index)));
  }
  markCurrent();
}

function newRow(index) {
  const row = el("div", {
    class: "row", role: "option", id: `row-${index}`, "aria-setsize": list.positions.length,
    "aria-posinset": index + 1, on: { click: () => choose(index, true) },
  });
  row.style.transform = `translateY(${index * ROW}px)`;
  const position = list.positions[index];
  cardAt(position).then(
    (card) => fillRow(row, card, store.head.tasks[store.taskOf[position]].name),
    (error) => row.append(el("p", { class: "lost" }, error.message)),
  );
  return row;
}

function fillRow(row, card, task) {
  const [file, width, height] = card.images[0] || [""];
  const thumb = el("div", { class: "thumb" });
  if (file) thumb.append(el("img", { src: `images/${file}`, width, height, alt: "", decoding: "async", loading: "lazy" }));
  if (card.images.length > 1) thumb.append(el("span", {}, card.images.length));
  const lines = card.q.split("\n").filter((line) => !/^[A-Z]\. /.test(line)); // options go last
  const question = lines.at(-1) || card.q;
  row.replaceChildren(
    thumb,
    el("div", { class: "text" },
      el("p", { class: "task" }, taskLabel(task)),
      el("p", { class: "question" }, ...marked(question)),
      el("p", { class: "answer" }, ...answerNodes(machineAnswer(card.a)))),
  );
}

// The spans between backticks alone: a row has room for one line.
function machineAnswer(answer) {
  const spans = answer.split("`").filter((_, k) => k % 2);
  return spans.length ? spans.map((span) => `\`${span}\``).join(" ") : answer;
}

function taskLabel(name) {
  return name.replaceAll("_", " ").replaceAll(".", " · ");
}

function markCurrent() {
  for (const [index, node] of list.nodes) {
    node.setAttribute("aria-selected", index === list.current ? "true" : "false");
  }
  if (list.nodes.has(list.current)) list.scroll.setAttribute("aria-activedescendant", `row-${list.current}`);
  else list.scroll.removeAttribute("aria-activedescendant");
}

// Scroll as little as shows the row of an index.
function reveal(index) {
  const { scroll } = list;
  const top = index * ROW;
  if (top < scroll.scrollTop) scroll.scrollTop = top;
  else if (top + ROW > scroll.scrollTop + scroll.clientHeight) scroll.scrollTop = top + ROW - scroll.clientHeight;
  drawRows();
}

let drawn = false;
list.scroll.addEventListener("scroll", () => {
  if (drawn) return;
  drawn = true;
  requestAnimationFrame(() => {
    drawn = false;
    drawRows();
  });
}, { passive: true });
new ResizeObserver(drawRows).observe(list.scroll);
