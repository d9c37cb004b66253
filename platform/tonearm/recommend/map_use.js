// Reads, moves and searches the map that map_draw.js draws.

// --- what lies where: rows by the cells of a grid, for the pointer

const CELLS = 256, cell_start = new Int32Array(CELLS * CELLS + 1), in_cells = new Int32Array(count);
const cell = (value) => Math.min(CELLS - 1, Math.floor(value / (data.grid + 1) * CELLS));
const cell_of = (i) => cell(data.y[i]) * CELLS + cell(data.x[i]);
for (let i = 0; i < count; i++) cell_start[cell_of(i) + 1]++;
for (let c = 0; c < CELLS * CELLS; c++) cell_start[c + 1] += cell_start[c];
const filled = cell_start.slice();
for (let i = 0; i < count; i++) in_cells[filled[cell_of(i)]++] = i;

function nearest(x, y, within) {
  const at = (value) => Math.max(0, Math.min(data.grid, value * data.grid));
  const columns = [cell(at((x - left - within) / scale)), cell(at((x - left + within) / scale))];
  const rows = [cell(at(1 - (y - top_ + within) / scale)), cell(at(1 - (y - top_ - within) / scale))];
  let best = -1, least = within * within, same = 0;
  for (let row = rows[0]; row <= rows[1]; row++) {
    const end = cell_start[row * CELLS + columns[1] + 1];
    for (let k = cell_start[row * CELLS + columns[0]]; k < end; k++) {
      const i = in_cells[k];
      if (!is_shown(i)) continue;
      const distance = (screen_x(i) - x) ** 2 + (screen_y(i) - y) ** 2;
      if (best >= 0 && data.x[i] === data.x[best] && data.y[i] === data.y[best]) same++;
      else if (distance < least) { best = i; least = distance; same = 0; }
    }
  }
  return { row: best, same };
}

function describe(i) {
  const lines = [data.titles[i]];
  const of = (name) => { const g = data.groups.find((other) => other.name === name); return g ? g.names[g.of[i]] : ""; };
  for (const name of ["artist", "label", "predicted label", "place"]) if (of(name)) lines.push(`${name}: ${of(name)}`);
  if (data.years[i] !== null) lines.push(`year: ${data.years[i]}`);
  return lines;
}

function show(i, same = 0) {
  if (chosen !== i) { chosen = i; redraw(); }
  tip.hidden = i < 0;
  if (i < 0) return;
  tip.textContent = [...describe(i), ...(same ? [`${same} more at this place`] : [])].join("\n");
  const x = screen_x(i), y = screen_y(i);
  tip.style.left = `${Math.max(0, Math.min(x + 12, width - tip.offsetWidth))}px`;
  tip.style.top = `${Math.max(0, y + 14 + tip.offsetHeight > height ? y - 14 - tip.offsetHeight : y + 14)}px`;
}

const say = (text) => { said.textContent = text; };

// --- moving

function zoom(factor, x = width / 2, y = height / 2) {
  const least = 0.5 * Math.min(width, height), bounded = Math.max(least, Math.min(scale * factor, 2000 * least));
  left = x - (x - left) * bounded / scale;
  top_ = y - (y - top_) * bounded / scale;
  scale = bounded;
  moved();
}

function move(dx, dy) {
  left += dx;
  top_ += dy;
  moved();
}

function moved() {
  show(-1);
  redraw();
}

function show_all() {
  scale = 0.92 * Math.min(width, height);
  [left, top_] = [(width - scale) / 2, (height - scale) / 2];
  moved();
}

const pointers = new Map();
canvas.onpointerdown = (event) => {
  canvas.setPointerCapture(event.pointerId);
  pointers.set(event.pointerId, [event.offsetX, event.offsetY]);
};
canvas.onpointermove = (event) => {
  const last = pointers.get(event.pointerId), now = [event.offsetX, event.offsetY];
  if (!last) {
    const near = nearest(now[0], now[1], NEAR);
    return show(near.row, near.same);
  }
  const other = [...pointers].find(([id]) => id !== event.pointerId);
  pointers.set(event.pointerId, now);
  if (!other) return now[0] === last[0] && now[1] === last[1] ? undefined : move(now[0] - last[0], now[1] - last[1]);
  const apart = (place) => Math.hypot(place[0] - other[1][0], place[1] - other[1][1]) || 1;
  zoom(apart(now) / apart(last), (now[0] + other[1][0]) / 2, (now[1] + other[1][1]) / 2);
};
canvas.onpointerup = (event) => {
  pointers.delete(event.pointerId);
  const near = nearest(event.offsetX, event.offsetY, NEAR);
  show(near.row, near.same);
};
canvas.onpointercancel = (event) => pointers.delete(event.pointerId);
canvas.onpointerleave = () => { if (!pointers.size) show(-1); };
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.deltaMode ? 0.05 : 0.0015)), event.offsetX, event.offsetY);
}, { passive: false });

const KEYS = {
  ArrowLeft: () => move(60, 0), ArrowRight: () => move(-60, 0), ArrowUp: () => move(0, 60), ArrowDown: () => move(0, -60),
  "+": () => zoom(1.4), "=": () => zoom(1.4), "-": () => zoom(1 / 1.4), 0: show_all,
  Enter: () => {
    const near = nearest(width / 2, height / 2, Math.max(width, height));
    show(near.row, near.same);
    say(near.row < 0 ? "nothing here" : describe(near.row).join(", "));
  },
};
canvas.onkeydown = (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  event.preventDefault();
  KEYS[event.key]();
};
for (const [id, key] of [["in", "+"], ["out", "-"], ["all", "0"]]) element(id).onclick = KEYS[key];

// --- searching

const plain = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
let texts = null;

element("search").oninput = (event) => {
  const wanted = plain(event.target.value.trim());
  texts = texts || data.titles.map((_, i) => plain(describe(i).join(" ")));
  found = wanted ? [...texts.keys()].filter((i) => texts[i].includes(wanted)) : null;
  step = -1;
  say(found ? `${found.length.toLocaleString("en")} found` : "");
  moved();
};
element("search").onkeydown = (event) => {
  const there = (found || []).filter(is_shown);
  if (event.key !== "Enter" || !there.length) return;
  step = (step + 1) % there.length;
  const i = there[step];
  move(width / 2 - screen_x(i), height / 2 - screen_y(i));
  show(i);
  say(`${step + 1} of ${there.length}: ${describe(i).join(", ")}`);
};

// --- beginning

data.groups.forEach((own, index) => by.append(new Option(own.name, String(index))));
by.parentElement.hidden = !data.groups.length;
by.onchange = () => { colour_by(Number(by.value)); redraw(); };
dark.addEventListener("change", () => by.onchange());
new ResizeObserver(() => {
  const first = width === 1, ratio = devicePixelRatio || 1;
  width = canvas.clientWidth;
  height = canvas.clientHeight;
  Object.assign(canvas, { width: width * ratio, height: height * ratio });
  if (first) show_all();
  redraw();
}).observe(canvas);
colour_by(0);
