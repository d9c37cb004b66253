"use strict";
// Draws the rows of a library on a canvas. All texts are set as text, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const count = data.x.length, TOP = 12, NEAR = 14; // groups with a colour of their own; pixels around a pointer
const element = (id) => document.getElementById(id);
const canvas = element("map"), tip = element("tip"), said = element("said"), by = element("by");
const context = canvas.getContext("2d"), dark = matchMedia("(prefers-color-scheme: dark)");

// Six hues of Okabe and Ito, told apart by the colour-blind, twice, in two forms; of eras viridis, which has an order,
// without what the paper hides.
const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"];
const VIRIDIS = ["#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const FORMS = ["circle", "square", "triangle", "diamond"];

let group = null, marks = [], shown_as = new Int16Array(count), alone = -1, found = null, step = -1, chosen = -1;
let scale = 1, left = 0, top_ = 0, width = 1, height = 1, asked = false;

// --- groups: which of the legend's entries each row is

function colour_by(index) {
  group = data.groups[index] || { name: "", names: [], of: new Array(count).fill(-1) };
  const names = group.names.slice(0, TOP), counts = new Array(names.length + 2).fill(0);
  const era = group.name === "era", order = names.map((_, i) => i);
  if (era) order.sort((a, b) => parseInt(names[a], 10) - parseInt(names[b], 10));
  const rank = new Array(names.length);
  order.forEach((i, place) => { rank[i] = place; });
  for (let i = 0; i < count; i++) {
    const own = group.of[i];
    shown_as[i] = own < 0 ? names.length + 1 : own < TOP ? rank[own] : names.length;
    counts[shown_as[i]]++;
  }
  marks = order.map((i, place) => ({
    name: names[i], count: counts[place], form: FORMS[era ? place % 4 : Math.floor(place / HUES.length)],
    colour: era ? shade(place, names.length) : HUES[place % HUES.length],
  }));
  const others = group.names.length - names.length;
  marks.push({ name: others === 1 ? "1 other" : `${others} others`, count: counts[names.length], form: "circle", colour: "" });
  marks.push({ name: group.name ? "not known" : "all rows", count: counts[names.length + 1], form: "circle", colour: "" });
  alone = -1;
  draw_legend();
}

function shade(place, of) {
  const colours = dark.matches ? VIRIDIS.slice(2) : VIRIDIS.slice(0, -2);
  return colours[of < 2 ? 2 : Math.round(place * (colours.length - 1) / (of - 1))];
}

const themed = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const colour_of = (mark) => mark.colour || themed("--other");

function draw_legend() {
  const list = element("legend");
  list.replaceChildren();
  marks.forEach((mark, index) => {
    if (!mark.count) return; // such as others, where there are none
    const item = document.createElement("li"), button = document.createElement("button");
    const icon = document.createElement("canvas").getContext("2d"), name = document.createElement("span");
    const amount = document.createElement("small");
    Object.assign(icon.canvas, { width: 28, height: 28 });
    Object.assign(icon.canvas.style, { width: "14px", height: "14px" });
    icon.fillStyle = colour_of(mark);
    trace(icon, mark.form, 14, 14, 11);
    icon.fill();
    name.textContent = mark.name;
    amount.textContent = mark.count.toLocaleString("en");
    button.setAttribute("aria-pressed", String(index === alone));
    button.append(icon.canvas, name, amount);
    button.onclick = () => {
      alone = alone === index ? -1 : index;
      for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", "false");
      button.setAttribute("aria-pressed", String(alone === index));
      say(alone < 0 ? "all groups" : `${mark.name} alone: ${mark.count}`);
      redraw();
    };
    item.append(button);
    list.append(item);
  });
}

// --- drawing

const screen_x = (i) => left + data.x[i] / data.grid * scale;
const screen_y = (i) => top_ + (1 - data.y[i] / data.grid) * scale;

function radius() {
  const base = Math.max(1.3, Math.min(5, 130 / Math.sqrt(count)));
  return Math.min(6, base * Math.sqrt(scale / Math.min(width, height)));
}

function trace(target, form, x, y, r) {
  target.beginPath();
  add(target, form, x, y, r);
}

function add(target, form, x, y, r) {
  if (form === "square") return target.rect(x - 0.88 * r, y - 0.88 * r, 1.77 * r, 1.77 * r);
  if (form === "circle") { target.moveTo(x + r, y); return target.arc(x, y, r, 0, 7); }
  const corners = form === "triangle" ? [[0, -1.3], [1.2, 0.85], [-1.2, 0.85]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
  corners.forEach(([dx, dy], i) => (i ? target.lineTo(x + dx * r, y + dy * r) : target.moveTo(x + dx * r, y + dy * r)));
  target.closePath();
}

const is_shown = (i) => alone < 0 || shown_as[i] === alone;

function redraw() {
  if (!asked) { asked = true; requestAnimationFrame(draw); }
}

function draw_forms(members, r, opacity) {
  context.globalAlpha = opacity;
  for (let entry = marks.length - 1; entry >= 0; entry--) { // what has no colour lies below
    context.fillStyle = colour_of(marks[entry]);
    const rows = members[entry];
    for (let start = 0; start < rows.length; start += 500) { // a path of very many parts is slow to fill
      context.beginPath();
      for (const i of rows.slice(start, start + 500)) add(context, marks[entry].form, screen_x(i), screen_y(i), r);
      context.fill();
    }
  }
  context.globalAlpha = 1;
}

function draw_dots(members, r, opacity) { // no form is seen, and of very many rows pixels are by far the quickest
  const ratio = canvas.width / width, size = Math.max(1, Math.round(2 * r * ratio));
  const image = context.createImageData(canvas.width, canvas.height), pixels = new Uint32Array(image.data.buffer);
  for (let entry = marks.length - 1; entry >= 0; entry--) {
    const colour = parseInt(colour_of(marks[entry]).slice(1), 16), alpha = Math.round(255 * opacity);
    const pixel = ((alpha << 24) | ((colour & 255) << 16) | (colour & 0xff00) | (colour >> 16)) >>> 0;
    for (const i of members[entry]) {
      const x = Math.round(screen_x(i) * ratio - size / 2), y = Math.round(screen_y(i) * ratio - size / 2);
      const first = Math.max(0, x), last = Math.max(0, Math.min(canvas.width, x + size));
      for (let row = Math.max(0, y); row < Math.min(canvas.height, y + size); row++) {
        pixels.fill(pixel, row * canvas.width + first, row * canvas.width + last);
      }
    }
  }
  context.putImageData(image, 0, 0);
}

function draw() {
  asked = false;
  const r = radius(), ratio = devicePixelRatio || 1;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const members = marks.map(() => []);
  for (let i = 0; i < count; i++) {
    const x = screen_x(i), y = screen_y(i);
    if (x > -9 && y > -9 && x < width + 9 && y < height + 9 && is_shown(i)) members[shown_as[i]].push(i);
  }
  (r < 2 ? draw_dots : draw_forms)(members, r, found ? 0.18 : r < 2 ? 1 : 0.9);
  context.strokeStyle = themed("--ink");
  for (const i of found || []) {
    if (!is_shown(i)) continue;
    context.fillStyle = colour_of(marks[shown_as[i]]);
    trace(context, marks[shown_as[i]].form, screen_x(i), screen_y(i), Math.max(3.5, r));
    context.fill();
    context.lineWidth = 1;
    context.stroke();
  }
  if (chosen >= 0) {
    context.lineWidth = 2;
    trace(context, "circle", screen_x(chosen), screen_y(chosen), r + 5);
    context.stroke();
  }
}
