// What is measured of the recording, each on the catalogue's strip: where it lies among all tracks.

import { element, svg } from "./dom.js";
import { amount, capital, percent, plain, sides } from "./words.js";

/** @typedef {import("./types.d.ts").MeasuredAttribute} MeasuredAttribute */
/** @typedef {import("./types.d.ts").Spread} Spread */

const POINTS = 60, WIDTH = 240, HEIGHT = 34;

/** @param {MeasuredAttribute[]} attributes @param {import("./types.d.ts").Catalogue | null} catalogue */
export function attributesCard(attributes, catalogue) {
  const spreads = new Map((catalogue?.attributes ?? []).map((spread) => [spread.name, spread]));
  const key = attributes.find((one) => one.name === "key"), mode = attributes.find((one) => one.name === "mode");
  const rows = attributes.filter((one) => typeof one.value === "number").map((one) => row(one, spreads.get(one.name)));
  if (key) rows.unshift(element("div", { class: "attribute" }, element("dt", {}, "Key"), element("dd", {}, `${key.value} ${mode?.value ?? ""}`)));
  const compared = spreads.size > 0 && attributes.some((one) => spreads.has(one.name));
  return element("article", { class: "card", "aria-label": "Attributes" }, element("h3", {}, "Measured"),
    element("dl", { class: "attributes" }, ...rows),
    compared ? null : !catalogue ? element("p", { class: "hint" }, "The strips show the usual range.")
      : element("p", { class: "hint" }, "The catalogue's tracks were not measured, so the strips show the usual range. ",
      element("code", {}, "tonearm extract --descriptors"), ", then ", element("code", {}, "tonearm index"), " measures them."));
}

/** @param {MeasuredAttribute} one @param {Spread | undefined} spread */
function row(one, spread) {
  const value = Number(one.value);
  const told = spread && one.quantile !== null ? place(one, spread) : "";
  const strip = spread ? hill(value, spread, told) : line(value, one);
  return element("div", { class: "attribute" }, element("dt", {}, capital(plain(one.name))),
    element("dd", {}, `${amount(value)} ${one.unit}`), strip ? element("dd", { class: "strip" }, strip) : null,
    told ? element("dd", { class: "hint place" }, told) : null);
}

/** @param {MeasuredAttribute} one @param {Spread} spread */
function place(one, spread) {
  const below = one.quantile ?? 0, high = below >= 0.5;
  const share = percent(high ? below : 1 - below);
  return `${sides(spread)[high ? 1 : 0]} than ${share === "100 %" ? "all" : `${share} of the`} tracks`;
}

/** How the catalogue is spread, and where the recording lies. @param {number} value @param {Spread} spread @param {string} told */
function hill(value, spread, told) {
  const low = Math.min(value, spread.quantiles[0]), high = Math.max(value, spread.quantiles.at(-1) ?? value);
  const range = high - low || 1, x = (/** @type {number} */ v) => (WIDTH * (v - low)) / range;
  const width = range / 14;
  const heights = Array.from({ length: POINTS + 1 }, (_, i) => {
    const at = low + (range * i) / POINTS;
    return spread.quantiles.reduce((sum, q) => sum + Math.exp(-0.5 * ((at - q) / width) ** 2), 0);
  });
  const most = Math.max(...heights);
  const points = heights.map((h, i) => `${((WIDTH * i) / POINTS).toFixed(1)},${(HEIGHT - 3 - (HEIGHT - 8) * (h / most)).toFixed(1)}`);
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${told}, ${spread.known} of which are known` },
    svg("path", { class: "hill", d: `M0,${HEIGHT - 3} L${points.join(" L")} L${WIDTH},${HEIGHT - 3} Z` }), ...marker(x(value)));
}

/** Where a value lies in its usual range. @param {number} value @param {MeasuredAttribute} one */
function line(value, one) {
  if (one.low === null || one.high === null) return null;
  const x = WIDTH * Math.max(0, Math.min(1, (value - one.low) / (one.high - one.low)));
  return svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": `${amount(value)} of a usual ${one.low} to ${one.high}` },
    svg("path", { class: "hill", d: `M0,${HEIGHT - 7} H${WIDTH} v4 H0 Z` }), ...marker(x));
}

/** @param {number} x */
const marker = (x) => {
  const at = Math.max(4, Math.min(WIDTH - 4, x));
  return [svg("path", { class: "here", d: `M${at},4 V${HEIGHT - 3}` }), svg("circle", { class: "here", cx: at, cy: 5, r: 4 })];
};
