// The catalogue in two dimensions: a click plays, a loop lists, a dropped file lands on it.

import { get } from "./api.js";
import { served } from "./asking.js";
import { button, element, say } from "./dom.js";
import { onAnswer } from "./listen.js";
import { Plot } from "./map_plot.js";
import { marksOf } from "./map_groups.js";
import { drawLegend } from "./map_legend.js";
import { watchPointer } from "./map_pointer.js";
import { play, playButton, trackSound } from "./player.js";
import { banner } from "./problems.js";
import { session } from "./session.js";

/** @typedef {import("./types.d.ts").CatalogueMap} CatalogueMap */

const LISTED = 200; // of what lies in a loop
const BESIDE = 5; // nearest tracks, in whose middle a recording lands

let begun = false;

/** @param {HTMLElement} place */
export async function show(place) {
  if (begun) return;
  begun = true;
  place.replaceChildren(element("p", { class: "hint", role: "status" }, "Placing the catalogue's tracks; the first time this takes a while …"));
  try {
    const { tracks } = await served();
    if (!tracks) {
      place.replaceChildren(element("p", { class: "card" }, "This model has no catalogue, so there is nothing to map. ",
        element("code", {}, "tonearm index --audio FOLDER"), " makes one."));
      return;
    }
    draw(place, await get("v1/map"));
  } catch (error) {
    begun = false;
    place.replaceChildren(banner(error, () => void show(place)));
  }
}

/** @param {HTMLElement} place @param {CatalogueMap} data */
function draw(place, data) {
  const canvas = element("canvas", { class: "map", tabIndex: 0, role: "application",
    "aria-label": "Map. Arrow keys move, plus and minus zoom, 0 shows all, Enter plays what lies in the middle" });
  const tip = element("div", { class: "tip", hidden: true }), list = element("div", { class: "listed", "aria-live": "polite" });
  const legend = element("ul", { class: "legend", "aria-label": "Legend: a button shows one group alone" });
  const plot = new Plot(canvas, data);
  const by = element("select", { id: "by" }, ...data.groups.map((group, i) => new Option(group.name, String(i))));
  const search = element("input", { type: "search", id: "find", placeholder: "title, artist, label", autocomplete: "off" });
  const said = element("span", { class: "hint", role: "status" });
  const clear = button("Clear", () => {
    search.value = said.textContent = "";
    found(null);
    listTracks([], "");
  }, { class: "small", hidden: true });
  const found = (/** @type {number[] | null} */ rows) => {
    plot.found = rows && new Set(rows);
    clear.hidden = rows === null;
    plot.redraw();
  };
  const lasso = button("Lasso", () => {}, { class: "small", "aria-pressed": "false", title: "Draw a loop around tracks to list them; or drag with Shift" });
  lasso.addEventListener("click", () => lasso.setAttribute("aria-pressed", String(lasso.getAttribute("aria-pressed") !== "true")));
  const texts = data.titles.map((_, i) => describe(data, i).join(" · "));

  const colour = () => {
    plot.groups = marksOf(data.groups[Number(by.value)], data.x.length);
    plot.alone = -1;
    drawLegend(legend, plot);
    plot.redraw();
  };
  by.addEventListener("change", colour);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", colour);
  search.addEventListener("input", () => {
    const wanted = folded(search.value.trim());
    const rows = wanted ? texts.flatMap((text, i) => (folded(text).includes(wanted) ? [i] : [])) : null;
    found(rows);
    said.textContent = rows ? `${rows.length.toLocaleString("en")} found` : "";
    listTracks(rows ?? [], rows ? `“${search.value.trim()}”` : "");
  });

  const point = (/** @type {number} */ i) => {
    plot.chosen = i;
    tip.hidden = i < 0;
    plot.redraw();
    if (i < 0) return;
    tip.textContent = describe(data, i).join("\n");
    const x = plot.screenX(i), y = plot.screenY(i);
    tip.style.left = `${Math.max(0, Math.min(x + 12, plot.width - tip.offsetWidth))}px`;
    tip.style.top = `${Math.max(0, y + 14 + tip.offsetHeight > plot.height ? y - 14 - tip.offsetHeight : y + 14)}px`;
  };
  const playTrack = (/** @type {number} */ i) => {
    point(i);
    if (i < 0) return;
    say(describe(data, i).join(", "));
    void play(trackSound(data.ids[i], data.titles[i]));
  };
  const listTracks = (/** @type {number[]} */ rows, /** @type {string} */ what) => {
    if (!rows.length) return list.replaceChildren(...(what ? [element("p", {}, `No track in ${what}.`)] : []));
    const more = rows.length > LISTED ? element("p", { class: "hint" }, `The first ${LISTED}.`) : "";
    list.replaceChildren(element("h3", {}, `${rows.length.toLocaleString("en")} in ${what}`), element("ol", {}, ...rows.slice(0, LISTED).map((i) =>
      element("li", { onmouseenter: () => point(i) }, playButton(trackSound(data.ids[i], data.titles[i]), { text: "" }),
        element("span", {}, data.titles[i], element("small", {}, describe(data, i).slice(1).join(" · ")))))), more);
  };
  watchPointer(plot, {
    point, playTrack, isLasso: () => lasso.getAttribute("aria-pressed") === "true",
    looped: (rows) => {
      found(rows.length ? rows : null);
      listTracks(rows, "the loop");
      said.textContent = `${rows.length.toLocaleString("en")} in the loop`;
    },
  });
  const land = (/** @type {import("./types.d.ts").Answer | null} */ answer) => {
    plot.landed = answer ? landing(data, answer) : null;
    plot.redraw();
    if (!answer) said.textContent = "";
    if (plot.landed && session.recording) said.textContent = `${session.recording.name} has landed near ${plot.landed.near}`;
  };
  onAnswer(land);
  land(session.plainly);

  const tools = element("div", { class: "row tools" },
    data.groups.length ? element("span", { class: "row" }, element("label", { for: "by" }, "Colour by"), by) : null,
    element("span", { class: "row" }, element("label", { for: "find" }, "Find"), search), lasso,
    element("span", { class: "row", role: "group", "aria-label": "Zoom" }, button("+", () => plot.zoom(1.4), { class: "small", "aria-label": "Zoom in" }),
      button("−", () => plot.zoom(1 / 1.4), { class: "small", "aria-label": "Zoom out" }), button("Show all", () => plot.showAll(), { class: "small" })), said, clear);
  place.replaceChildren(tools, element("div", { class: "map-both" }, element("div", { class: "map-plot" }, canvas, tip), element("div", { class: "map-side" }, list, legend)),
    element("p", { class: "hint" }, about(data)));
  colour();
}

/** @param {CatalogueMap} data @param {number} i */
function describe(data, i) {
  const of = (/** @type {string} */ name) => {
    const group = data.groups.find((other) => other.name === name);
    return group && group.of[i] >= 0 ? group.names[group.of[i]] : "";
  };
  return [data.titles[i], of("artist"), of("label") || of("predicted label"), data.years[i] === null ? "" : String(data.years[i])].filter(Boolean);
}

/** Where a recording lies: the median of its nearest tracks. @param {CatalogueMap} data @param {import("./types.d.ts").Answer} answer */
function landing(data, answer) {
  const nearest = [...(answer.neighbours ?? [])].sort((a, b) => b.similarity - a.similarity);
  const rows = nearest.map((one) => data.ids.indexOf(one.track_id)).filter((row) => row >= 0).slice(0, BESIDE);
  if (!rows.length) return null;
  const median = (/** @type {number[]} */ values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];
  return { x: median(rows.map((row) => data.x[row])), y: median(rows.map((row) => data.y[row])), near: data.titles[rows[0]] };
}

/** @param {CatalogueMap} data */
function about(data) {
  const shown = data.x.length < data.count ? `${data.x.length.toLocaleString("en")} of ${data.count.toLocaleString("en")} tracks are shown. ` : "";
  const faith = data.trustworthiness === null ? "" : ` Trustworthiness ${data.trustworthiness.toFixed(3)}, of coordinates at random ${(data.chance ?? 0).toFixed(3)}.`;
  return `${shown}Near each other is what sounds alike to the model; how far apart groups lie says little.${faith} Click a mark to play it, drag to move, wheel or two fingers to zoom, drag with Shift to draw a loop. Drop a file to see where it lands.`;
}

const folded = (/** @type {string} */ text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
