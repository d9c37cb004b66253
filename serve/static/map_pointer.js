// Mouse, fingers and keys on the map.

/** @typedef {{ point: (i: number) => void, playTrack: (i: number) => void, looped: (rows: number[]) => void, isLasso: () => boolean }} OnMap */

const STEP = 60; // pixels of an arrow key
const STILL = 5; // pixels that a click may move

/** @param {import("./map_plot.js").Plot} plot @param {OnMap} told */
export function watchPointer(plot, told) {
  const { canvas } = plot;
  /** @type {Map<number, [number, number]>} */
  const pointers = new Map();
  let moved = 0, looping = false;

  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
    moved = 0;
    looping = pointers.size === 1 && (event.shiftKey || told.isLasso());
    plot.loop = looping ? [[event.offsetX, event.offsetY]] : [];
  });
  canvas.addEventListener("pointermove", (event) => {
    const last = pointers.get(event.pointerId), x = event.offsetX, y = event.offsetY;
    if (!last) {
      if (event.pointerType === "mouse") told.point(plot.nearest(x, y));
      return;
    }
    pointers.set(event.pointerId, [x, y]);
    moved += Math.hypot(x - last[0], y - last[1]);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (looping && !other) {
      plot.loop.push([x, y]);
      plot.redraw();
    } else if (other) {
      looping = false;
      const apart = (/** @type {[number, number]} */ place) => Math.hypot(place[0] - other[0], place[1] - other[1]) || 1;
      plot.zoom(apart([x, y]) / apart(last), (x + other[0]) / 2, (y + other[1]) / 2);
    } else if (moved > STILL) {
      told.point(-1);
      plot.move(x - last[0], y - last[1]);
    }
  });
  canvas.addEventListener("pointerup", (event) => {
    const alone = pointers.size === 1;
    pointers.delete(event.pointerId);
    if (looping && moved > STILL) told.looped(plot.within(plot.loop));
    else if (alone && moved <= STILL) told.playTrack(plot.nearest(event.offsetX, event.offsetY));
    looping = false;
    plot.loop = [];
    plot.redraw();
  });
  canvas.addEventListener("pointercancel", (event) => {
    pointers.delete(event.pointerId);
    looping = false;
    plot.loop = [];
  });
  canvas.addEventListener("pointerleave", () => { if (!pointers.size) told.point(-1); });
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    plot.zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
  }, { passive: false });

  const middle = () => plot.nearest(plot.width / 2, plot.height / 2, Math.max(plot.width, plot.height));
  const keys = /** @type {Record<string, () => void>} */ ({
    ArrowLeft: () => plot.move(STEP, 0), ArrowRight: () => plot.move(-STEP, 0), ArrowUp: () => plot.move(0, STEP), ArrowDown: () => plot.move(0, -STEP),
    "+": () => plot.zoom(1.4), "=": () => plot.zoom(1.4), "-": () => plot.zoom(1 / 1.4), 0: () => plot.showAll(), Enter: () => told.playTrack(middle()),
  });
  canvas.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !(event.key in keys)) return;
    event.preventDefault();
    keys[event.key]();
    if (event.key !== "Enter") told.point(middle());
  });
}
