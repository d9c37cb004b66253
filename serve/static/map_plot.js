// The map on a canvas: tracks as forms, moved and zoomed; what lies at a place, and what lies in a loop.

import { themed } from "./dom.js";
import { colourOf } from "./map_groups.js";

/** @typedef {import("./types.d.ts").CatalogueMap} CatalogueMap */
/** @typedef {import("./map_groups.js").Mark} Mark */

const NEAR = 16; // pixels around a pointer
const MARGIN = 0.94; // of the plot that the whole map takes

export class Plot {
  /** @param {HTMLCanvasElement} canvas @param {CatalogueMap} data */
  constructor(canvas, data) {
    this.canvas = canvas;
    this.data = data;
    this.context = /** @type {CanvasRenderingContext2D} */ (canvas.getContext("2d"));
    /** @type {{ marks: Mark[], of: Int16Array }} */
    this.groups = { marks: [], of: new Int16Array(data.x.length) };
    this.alone = -1;
    /** @type {Set<number> | null} */
    this.found = null;
    this.chosen = -1;
    /** @type {{ x: number, y: number, near: string } | null} where a dropped file has landed, in the map's units */
    this.landed = null;
    /** @type {[number, number][]} */
    this.loop = [];
    this.scale = 1;
    this.left = this.top = 0;
    this.width = this.height = 1;
    this.asked = false;
    new ResizeObserver(() => this.resized()).observe(canvas);
  }

  resized() {
    const first = this.width === 1, ratio = devicePixelRatio || 1;
    this.width = Math.max(1, this.canvas.clientWidth);
    this.height = Math.max(1, this.canvas.clientHeight);
    Object.assign(this.canvas, { width: this.width * ratio, height: this.height * ratio });
    if (first) this.showAll();
    this.redraw();
  }

  showAll() {
    this.scale = MARGIN * Math.min(this.width, this.height);
    this.left = (this.width - this.scale) / 2;
    this.top = (this.height - this.scale) / 2;
    this.redraw();
  }

  /** @param {number} factor @param {number} [x] @param {number} [y] pixels that stay where they are */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const least = 0.5 * Math.min(this.width, this.height), scale = Math.max(least, Math.min(this.scale * factor, 2000 * least));
    this.left = x - ((x - this.left) * scale) / this.scale;
    this.top = y - ((y - this.top) * scale) / this.scale;
    this.scale = scale;
    this.redraw();
  }

  /** @param {number} dx @param {number} dy pixels */
  move(dx, dy) {
    this.left += dx;
    this.top += dy;
    this.redraw();
  }

  /** @param {number} i */
  screenX = (i) => this.left + (this.data.x[i] / this.data.grid) * this.scale;

  /** @param {number} i */
  screenY = (i) => this.top + (1 - this.data.y[i] / this.data.grid) * this.scale;

  /** @param {number} i */
  isShown = (i) => this.alone < 0 || this.groups.of[i] === this.alone;

  /** The track at a place, and -1 if there is none. @param {number} x @param {number} y @param {number} [within] pixels */
  nearest(x, y, within = NEAR) {
    let best = -1, least = within * within;
    for (let i = 0; i < this.data.x.length; i++) {
      const dx = this.screenX(i) - x, dy = this.screenY(i) - y, distance = dx * dx + dy * dy;
      if (distance < least && this.isShown(i)) {
        best = i;
        least = distance;
      }
    }
    return best;
  }

  /** The tracks within a loop of pixels. @param {[number, number][]} loop */
  within(loop) {
    const found = [];
    for (let i = 0; i < this.data.x.length; i++) {
      if (this.isShown(i) && inside(this.screenX(i), this.screenY(i), loop)) found.push(i);
    }
    return found;
  }

  /** Bring a track to the middle. @param {number} i */
  centre(i) {
    this.move(this.width / 2 - this.screenX(i), this.height / 2 - this.screenY(i));
  }

  redraw() {
    if (this.asked) return;
    this.asked = true;
    requestAnimationFrame(() => this.draw());
  }

  draw() {
    this.asked = false;
    const { context, width, height } = this, ratio = devicePixelRatio || 1, r = this.radius();
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, width, height);
    context.globalAlpha = this.found ? 0.18 : 0.9;
    for (let entry = this.groups.marks.length - 1; entry >= 0; entry--) this.drawGroup(entry, r); // what has no colour lies below
    context.globalAlpha = 1;
    context.strokeStyle = themed("--ink");
    for (const i of this.found ?? []) this.ring(i, Math.max(3.5, r), 1, true);
    if (this.chosen >= 0) this.ring(this.chosen, r + 6, 2.5, false);
    if (this.landed) this.drawLanded(this.landed);
    if (this.loop.length > 1) this.drawLoop();
  }

  radius() {
    const base = Math.max(1.3, Math.min(6, 150 / Math.sqrt(this.data.x.length)));
    return Math.min(7, base * Math.sqrt(this.scale / Math.min(this.width, this.height)));
  }

  /** @param {number} entry @param {number} r */
  drawGroup(entry, r) {
    const { context, groups } = this, mark = groups.marks[entry];
    context.fillStyle = colourOf(mark);
    context.beginPath();
    for (let i = 0, drawn = 0; i < this.data.x.length; i++) {
      if (groups.of[i] !== entry || !this.isShown(i)) continue;
      const x = this.screenX(i), y = this.screenY(i);
      if (x < -9 || y < -9 || x > this.width + 9 || y > this.height + 9) continue;
      trace(context, mark.form, x, y, r);
      if (++drawn % 500 === 0) { // a path of very many parts is slow to fill
        context.fill();
        context.beginPath();
      }
    }
    context.fill();
  }

  /** @param {number} i @param {number} r @param {number} line @param {boolean} filled */
  ring(i, r, line, filled) {
    if (!this.isShown(i)) return;
    const { context } = this, mark = this.groups.marks[this.groups.of[i]];
    context.lineWidth = line;
    context.beginPath();
    trace(context, filled ? mark.form : "circle", this.screenX(i), this.screenY(i), r);
    if (filled) {
      context.fillStyle = colourOf(mark);
      context.fill();
    }
    context.stroke();
  }

  /** @param {{ x: number, y: number }} place */
  drawLanded(place) {
    const { context } = this, x = this.left + (place.x / this.data.grid) * this.scale, y = this.top + (1 - place.y / this.data.grid) * this.scale;
    context.strokeStyle = themed("--accent");
    context.lineWidth = 3;
    for (const r of [6, 13]) {
      context.beginPath();
      context.arc(x, y, r, 0, 7);
      context.stroke();
    }
    context.fillStyle = themed("--ink");
    context.font = "600 13px system-ui, sans-serif";
    context.textAlign = x > this.width - 110 ? "right" : "left";
    context.strokeStyle = themed("--card");
    context.lineWidth = 5;
    context.lineJoin = "round";
    context.strokeText("your recording", x + (x > this.width - 110 ? -18 : 18), y + 4); // marks below do not disturb it
    context.fillText("your recording", x + (x > this.width - 110 ? -18 : 18), y + 4);
  }

  drawLoop() {
    const { context } = this;
    context.strokeStyle = themed("--accent");
    context.lineWidth = 2;
    context.setLineDash([6, 4]);
    context.beginPath();
    for (const [x, y] of this.loop) context.lineTo(x, y);
    context.closePath();
    context.stroke();
    context.setLineDash([]);
  }
}

/** @param {CanvasRenderingContext2D} context @param {import("./map_groups.js").Form} form @param {number} x @param {number} y @param {number} r */
export function trace(context, form, x, y, r) {
  if (form === "square") return context.rect(x - 0.88 * r, y - 0.88 * r, 1.77 * r, 1.77 * r);
  if (form === "circle") {
    context.moveTo(x + r, y);
    return context.arc(x, y, r, 0, 7);
  }
  const corners = form === "triangle" ? [[0, -1.3], [1.2, 0.85], [-1.2, 0.85]] : [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]];
  corners.forEach(([dx, dy], i) => (i ? context.lineTo(x + dx * r, y + dy * r) : context.moveTo(x + dx * r, y + dy * r)));
  return context.closePath();
}

/** Whether a point lies in a loop: by the times that a ray crosses it. @param {number} x @param {number} y @param {[number, number][]} loop */
function inside(x, y, loop) {
  let within = false;
  for (let i = 0, j = loop.length - 1; i < loop.length; j = i++) {
    const [ax, ay] = loop[i], [bx, by] = loop[j];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) within = !within;
  }
  return within;
}
