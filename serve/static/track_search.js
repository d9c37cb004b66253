// Choosing a track of the catalogue by its words.

import { get } from "./api.js";
import { button, element } from "./dom.js";
import { cancelled, told } from "./problems.js";
import { credits, titled } from "./words.js";

/** @typedef {import("./types.d.ts").Track} Track */

const FOUND = 6, PAUSE = 200; // milliseconds of no typing

let count = 0;

/**
 * A field that finds tracks; onChosen is called when one was chosen.
 * @param {string} name
 * @param {() => void} onChosen
 * @param {Track} [first]
 */
export function trackSearch(name, onChosen, first) {
  const id = `search-${++count}`;
  /** @type {Track | null} */
  let chosen = null;
  const input = element("input", { type: "search", id, placeholder: "title, artist or album", autocomplete: "off" });
  const list = element("ul", { class: "found", "aria-label": `Tracks for ${name}` });
  const said = element("p", { class: "hint", role: "status" });
  /** @type {AbortController | null} */
  let running = null;
  let timer = 0;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(() => void find(), PAUSE);
  });
  input.addEventListener("keydown", (event) => {
    if (event.key === "Enter" || event.key === "ArrowDown") {
      event.preventDefault();
      /** @type {HTMLElement | null} */ (list.querySelector("button"))?.focus();
    }
  });

  async function find() {
    running?.abort();
    const mine = running = new AbortController(), words = input.value.trim();
    if (!words) return list.replaceChildren();
    try {
      const found = await get(`v1/search?${new URLSearchParams({ q: words, k: String(FOUND) })}`, mine.signal);
      list.replaceChildren(...found.tracks.map((/** @type {Track} */ track) => {
        const made = button(titled(track), () => { choose(track); onChosen(); }, { class: "small" });
        made.append(element("small", {}, credits(track)));
        return element("li", {}, made);
      }));
      said.textContent = found.count ? `${found.count.toLocaleString("en")} found` : "No track has all these words: try fewer.";
    } catch (error) {
      if (!cancelled(error)) said.textContent = told(error);
    }
  }

  /** @param {Track | null} track */
  function choose(track) {
    chosen = track;
    input.value = track ? titled(track) : "";
    list.replaceChildren();
    said.textContent = track ? credits(track) : "";
  }

  if (first) choose(first);
  return { element: element("div", { class: "track-search" }, element("label", { for: id }, name), input, list, said), chosen: () => chosen, choose };
}
