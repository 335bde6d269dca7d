"use strict";
const cards = [...document.querySelectorAll("article")];
const buttons = [...document.querySelectorAll("nav button[data-task], #all")];
const search = document.getElementById("search");
let task = "";
let current = -1;

function refresh() {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  let shown = 0;
  for (const card of cards) {
    const text = card.textContent.toLowerCase();
    const visible = (!task || card.dataset.task === task) && words.every((w) => text.includes(w));
    card.hidden = !visible;
    shown += visible ? 1 : 0;
  }
  document.getElementById("none").hidden = shown > 0;
  for (const b of buttons) b.classList.toggle("active", (b.dataset.task || "") === task);
  move(0);
}

function move(step) {
  const visible = cards.filter((card) => !card.hidden);
  cards.forEach((card) => card.classList.remove("current"));
  if (!visible.length) return;
  current = step === 0 ? 0 : Math.min(Math.max(current + step, 0), visible.length - 1);
  if (step === 0) return;
  visible[current].classList.add("current");
  visible[current].scrollIntoView({ block: "start", behavior: "smooth" });
}

for (const button of buttons) {
  button.addEventListener("click", () => {
    task = button.dataset.task || "";
    window.scrollTo(0, 0);
    refresh();
  });
}
search.addEventListener("input", refresh);
document.addEventListener("keydown", (event) => {
  if (event.target === search || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "j") move(1);
  if (event.key === "k") move(-1);
  if (event.key === "a") document.body.classList.toggle("hidden");
  if (event.key === "w") {
    const open = document.querySelector("article.current details");
    if (open) open.open = !open.open;
  }
});
