// SPDX-License-Identifier: Apache-2.0
// Elements, and drawings from data: shapes are [class, path data] or [class, x, y, text]; the parts
// are put together as view/why.py does it for reports.
"use strict";

const SVG = "http://www.w3.org/2000/svg";
// What a map's classes mean, in the order listed below it.
const LEGEND = [
  ["camera", "camera"], ["walk", "walk"], ["object", "object asked about"], ["box", "other object"],
  ["point", "point"], ["arrow", "change"], ["facing", "facing"], ["route", "route"],
  ["measure", "measured"], ["grid", "cells"], ["floor", "free floor"], ["cloud", "scanned"],
];

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [kind, act] of Object.entries(value)) node.addEventListener(kind, act);
    else if (value === true) node.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

function svg(tag, attributes, ...children) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  node.append(...children);
  return node;
}

function shapeNode(shape) {
  if (shape.length === 2) return svg("path", { class: shape[0], d: shape[1] });
  return svg("text", { class: shape[0], x: shape[1], y: shape[2] }, shape[3]);
}

function drawing(shapes, box, title, letters) {
  const node = svg("svg", {
    class: "drawing", viewBox: box.join(" "), role: "img", "font-size": letters,
  });
  node.append(svg("title", {}, title), ...shapes.map(shapeNode));
  return node;
}

function isWalk(frames) {
  return frames.length > 2 && frames.every((frame, k) => !k || frames[k - 1] < frame);
}

function topShapes(card, scene) {
  const shapes = [...(card.floor || []), ...(scene ? scene.base : [])];
  if (scene) {
    const cameras = card.frames.map((frame, k) => [k, scene.cameras[frame]]).filter((one) => one[1]);
    if (isWalk(card.frames) && cameras.length > 1) {
      shapes.push(["walk", `M${cameras.map(([, camera]) => `${camera[1]} ${camera[2]}`).join("L")}`]);
    }
    for (const [, camera] of cameras) shapes.push(["camera", camera[0]]);
    if (card.frames.length > 1) {
      for (const [k, camera] of cameras) shapes.push(["number", camera[3], camera[4], String(k + 1)]);
    }
    for (const number of card.objects || []) {
      const box = scene.boxes[number];
      if (box) shapes.push(["object", box[0]], ["name", box[1], box[2], box[3]]);
    }
  }
  return [...shapes, ...(card.top || [])];
}

function imageShapes(card, scene, k) {
  const shapes = [];
  for (const number of (scene && card.objects) || []) {
    const seen = scene.outlines[`${card.frames[k]}:${number}`];
    if (seen) shapes.push(["seen", seen[0]], ["seen-name", seen[1], seen[2], seen[3]]);
  }
  return [...shapes, ...((card.on && card.on[k]) || [])];
}

// The map with its legend, or null where nothing can be drawn.
function topView(card, scene) {
  const box = scene ? scene.box : card.box;
  if (!box) return null;
  const shapes = topShapes(card, scene);
  const title = `The scene ${scene ? scene.said : card.said}`;
  const map = drawing(shapes, box, title, Math.max(box[2], box[3]) / 26);
  const classes = new Set(shapes.map((shape) => shape[0]));
  const legend = el("ul", { class: "legend" });
  for (const [name, text] of LEGEND) {
    if (!classes.has(name)) continue;
    const sample = svg("svg", { viewBox: "0 0 24 12", class: "drawing", "aria-hidden": "true" });
    const d = name === "point" ? "M12 6h0" : ["camera", "object", "box", "floor", "cloud"].includes(name)
      ? "M3 2H21V10H3Z" : "M2 6H22";
    sample.append(svg("path", { class: name, d }));
    legend.append(el("li", {}, sample, text));
  }
  return el("figure", { class: "map" }, map, el("figcaption", {}, title), legend);
}

// An image of a card with its marks, and with what the evidence draws on it.
function picture(card, scene, k, lazy) {
  const [file, width, height, patches] = card.images[k];
  const name = (card.names && card.names[k]) || String(k);
  const frame = el("div", { class: "picture" });
  frame.style.aspectRatio = `${width} / ${height}`;
  if (!file) {
    frame.append(el("p", { class: "lost" }, `Image ${k + 1} (frame ${name}) could not be opened.`));
    return frame;
  }
  frame.append(el("img", {
    src: `images/${file}`, width, height, alt: `Image ${k + 1}: frame ${name}`, decoding: "async",
    loading: lazy ? "lazy" : "eager",
  }));
  if (patches) {
    const marks = svg("svg", { class: "marks", viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" });
    for (const [patch, x, y, w, h] of patches) {
      marks.append(svg("image", { href: `images/${patch}`, x, y, width: w, height: h }));
    }
    frame.append(marks);
  }
  const shapes = imageShapes(card, scene, k);
  if (shapes.length) {
    const over = drawing(shapes, [0, 0, width, height], `What the evidence says of image ${k + 1}`, width / 30);
    over.classList.add("over");
    frame.append(over);
  }
  return frame;
}

// Text in which the words that were searched are marked.
function marked(text) {
  const parts = [];
  const plain = words.filter((word) => word.length > 1).map((w) => w.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  if (!plain.length) return [text];
  let end = 0;
  for (const hit of text.matchAll(new RegExp(plain.join("|"), "gi"))) {
    parts.push(text.slice(end, hit.index), el("mark", {}, hit[0]));
    end = hit.index + hit[0].length;
  }
  return [...parts, text.slice(end)];
}

// A sentence whose span between backticks is the machine answer.
function answerNodes(answer) {
  return answer.split("`").flatMap((text, k) => {
    if (!text) return [];
    return k % 2 ? [el("code", {}, ...marked(text))] : marked(text);
  });
}
