// Two songs, and the way between them: each step sounds more like the second one. It can be played through.

import { get } from "./api.js";
import { served } from "./asking.js";
import { button, element, say } from "./dom.js";
import { play, playButton, stop, trackSound } from "./player.js";
import { banner, cancelled } from "./problems.js";
import { trackSearch } from "./track_search.js";
import { credits, percent, titled } from "./words.js";

/** @typedef {import("./types.d.ts").Step} Step */

let begun = false;

/** @param {HTMLElement} place */
export async function show(place) {
  if (begun) return;
  begun = true;
  try {
    const { tracks } = await served();
    if (tracks < 3) {
      place.replaceChildren(element("p", { class: "card" }, "There are not enough tracks to go from one to another. ",
        element("code", {}, "tonearm index --audio FOLDER"), " makes a catalogue."));
      return;
    }
    const { tracks: some } = await get("v1/samples?k=2").catch(() => ({ tracks: [] }));
    draw(place, Math.min(20, tracks - 2), some);
  } catch (error) {
    begun = false;
    place.replaceChildren(banner(error, () => void show(place)));
  }
}

/** @param {HTMLElement} place @param {number} most between the two @param {import("./types.d.ts").Track[]} some to begin with */
function draw(place, most, some) {
  const way = element("div", { class: "way", "aria-live": "polite" });
  const count = element("input", { type: "range", id: "between", min: "1", max: String(most), value: String(Math.min(5, most)) });
  const counted = element("output", { for: "between" }, count.value);
  const from = trackSearch("From", () => void find(), some[0]), to = trackSearch("To", () => void find(), some[1]);
  count.addEventListener("input", () => { counted.textContent = count.value; });
  count.addEventListener("change", () => void find());
  const turn = button("⇄ Turn round", () => {
    const [a, b] = [from.chosen(), to.chosen()];
    from.choose(b);
    to.choose(a);
    void find();
  }, { class: "small" });
  place.replaceChildren(element("div", { class: "card ends" }, from.element, to.element,
    element("div", { class: "row" }, element("label", { for: "between" }, "Steps between"), element("span", { class: "between" }, count), counted, turn)), way);
  /** @type {AbortController | null} */
  let running = null;
  void find();

  async function find() {
    const a = from.chosen(), b = to.chosen();
    running?.abort();
    const mine = running = new AbortController();
    if (!a || !b) return way.replaceChildren(element("p", { class: "hint" }, "Choose two songs."));
    if (a.track_id === b.track_id) return way.replaceChildren(element("p", { class: "hint" }, "Choose two different songs."));
    way.setAttribute("aria-busy", "true");
    try {
      const query = new URLSearchParams({ a: a.track_id, b: b.track_id, n: count.value });
      const { steps } = await get(`v1/path?${query}`, mine.signal);
      showWay(way, steps);
    } catch (error) {
      if (!cancelled(error)) way.replaceChildren(banner(error, () => void find()));
    } finally {
      if (running === mine) way.removeAttribute("aria-busy");
    }
  }
}

/** @param {HTMLElement} place @param {Step[]} steps */
function showWay(place, steps) {
  const items = steps.map((step) => {
    const here = element("span", { class: "dot", "aria-hidden": "true" });
    return element("li", {}, here, element("div", {}, element("h3", {}, titled(step)), element("p", { class: "hint" }, credits(step))),
      element("span", { class: "hint progress" }, percent(step.progress)), playButton(trackSound(step.track_id, titled(step)), { text: "", class: "round" }));
  });
  const all = button("▶ Play the way", () => void playFrom(0), { class: "main" });
  const seconds = element("select", { "aria-label": "How much of each" }, new Option("10 s of each", "10"), new Option("all of each clip", "0"));
  place.replaceChildren(element("div", { class: "row" }, all, seconds, button("Stop", stop, { class: "small" })), element("ol", { class: "steps-way" }, ...items));
  say(`The way has ${steps.length} songs.`);

  /** @param {number} index */
  async function playFrom(index) {
    items.forEach((item, i) => item.classList.toggle("now", i === index));
    if (index >= steps.length) return;
    const step = steps[index], part = Number(seconds.value);
    const ended = () => void playFrom(index + 1);
    await play(trackSound(step.track_id, titled(step)), { from: 0, ended, ...(part ? { to: part } : {}) });
  }
}
