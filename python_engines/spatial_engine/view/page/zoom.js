// SPDX-License-Identifier: Apache-2.0
// An image as large as the window; a click or the wheel enlarges it further.
"use strict";

const zoom = { dialog: document.getElementById("zoom"), card: null, scene: null, k: 0, scale: 1 };
const SCALES = [1, 2, 4];

function openZoom(card, scene, k) {
  Object.assign(zoom, { card, scene, k, scale: 1 });
  showZoom();
  if (!zoom.dialog.open) zoom.dialog.showModal();
}

function showZoom() {
  const { dialog, card, scene, k, scale } = zoom;
  const view = el("div", { class: "view" });
  const image = picture(card, scene, k, false);
  const [, width, height] = card.images[k];
  const fit = Math.min((innerWidth * 0.96) / width, (innerHeight * 0.86) / height);
  image.style.width = `${Math.round(width * fit * scale)}px`;
  view.append(image);
  image.addEventListener("click", (event) => enlarge(scale === SCALES.at(-1) ? 1 : scale * 2, event));
  const many = card.images.length > 1;
  const step = (by, text, label) => el("button", { type: "button", "aria-label": label, on: { click: () => turn(by) } }, text);
  const bar = el(
    "p", {}, many ? step(-1, "←", "previous image") : null,
    `Image ${k + 1} of ${card.images.length} · frame ${(card.names && card.names[k]) || k} · ${width} × ${height}`,
    many ? step(1, "→", "next image") : null,
    el("button", { type: "button", class: "close", "aria-label": "close", on: { click: () => dialog.close() } }, "✕"),
  );
  dialog.replaceChildren(view, bar);
}

function enlarge(scale, event) {
  const box = event.currentTarget.getBoundingClientRect();
  const x = (event.clientX - box.left) / box.width, y = (event.clientY - box.top) / box.height;
  zoom.scale = scale;
  showZoom();
  const view = zoom.dialog.querySelector(".view");
  view.scrollLeft = x * view.scrollWidth - view.clientWidth / 2;
  view.scrollTop = y * view.scrollHeight - view.clientHeight / 2;
}

function turn(by) {
  const count = zoom.card.images.length;
  zoom.k = (zoom.k + by + count) % count;
  zoom.scale = 1;
  showZoom();
}

zoom.dialog.addEventListener("keydown", (event) => {
  if (event.key === "ArrowRight" || event.key === "j") turn(1);
  if (event.key === "ArrowLeft" || event.key === "k") turn(-1);
  event.stopPropagation();
});
zoom.dialog.addEventListener("click", (event) => {
  if (event.target === zoom.dialog || event.target.className === "view") zoom.dialog.close();
});
