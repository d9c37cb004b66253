// By what the map is coloured: groups with a colour and a form each, the frequent ones alone.

import { themed } from "./dom.js";

/** @typedef {import("./types.d.ts").Groups} Groups */
/** @typedef {"circle" | "square" | "triangle" | "diamond"} Form */
/** @typedef {{ name: string, count: number, form: Form, colour: string }} Mark an entry of the legend; colour "": that of the others */

const TOP = 12; // groups with a colour of their own
// Six hues of Okabe and Ito, told apart by the colour-blind, in two forms; of eras viridis, which has an order.
const HUES = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9"];
const VIRIDIS = ["#472d7b", "#3b528b", "#2c728e", "#21918c", "#28ae80", "#5ec962", "#addc30", "#fde725"];
const FORMS = /** @type {Form[]} */ (["circle", "square", "triangle", "diamond"]);

/**
 * The entries of the legend, and of each track which one is its own.
 * @param {Groups | undefined} groups undefined: nothing is known, all are alike
 * @param {number} count of tracks
 * @returns {{ marks: Mark[], of: Int16Array }}
 */
export function marksOf(groups, count) {
  const names = (groups?.names ?? []).slice(0, TOP), era = groups?.name === "era";
  const order = names.map((_, i) => i);
  if (era) order.sort((a, b) => parseInt(names[a], 10) - parseInt(names[b], 10));
  const rank = new Array(names.length);
  order.forEach((i, place) => { rank[i] = place; });
  const of = new Int16Array(count), counts = new Array(names.length + 2).fill(0);
  for (let i = 0; i < count; i++) {
    const own = groups ? groups.of[i] : -1;
    of[i] = own < 0 ? names.length + 1 : own < TOP ? rank[own] : names.length;
    counts[of[i]]++;
  }
  const marks = order.map((i, place) => ({
    name: names[i], count: counts[place], form: FORMS[era ? place % 4 : Math.floor(place / HUES.length)],
    colour: era ? shade(place, names.length) : HUES[place % HUES.length],
  }));
  const others = (groups?.names.length ?? 0) - names.length;
  marks.push({ name: `${others} other${others === 1 ? "" : "s"}`, count: counts[names.length], form: "circle", colour: "" });
  marks.push({ name: groups ? "not known" : "all tracks", count: counts[names.length + 1], form: "circle", colour: "" });
  return { marks, of };
}

/** @param {number} place @param {number} of */
function shade(place, of) {
  const colours = matchMedia("(prefers-color-scheme: dark)").matches ? VIRIDIS.slice(2) : VIRIDIS.slice(0, -2);
  return colours[of < 2 ? 2 : Math.round((place * (colours.length - 1)) / (of - 1))];
}

/** @param {Mark} mark */
export const colourOf = (mark) => mark.colour || themed("--other");
