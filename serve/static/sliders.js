// Sliders towards faster, older, brighter; and variety.

import { element } from "./dom.js";
import { ask, session } from "./session.js";
import { capital, plain, sides } from "./words.js";

/**
 * Fill a place with sliders; returns what sets them to the question, after an undo.
 * @param {HTMLElement} place
 * @param {import("./types.d.ts").Catalogue} catalogue
 * @param {() => void} onChange
 */
export function slidersPanel(place, catalogue, onChange) {
  /** @type {(() => void)[]} */
  const setters = [];
  const rows = catalogue.attributes.filter((one) => one.quantiles[0] !== one.quantiles.at(-1)).map((one) => {
    const [less, more] = sides(one);
    return slider(plain(one.name), less, more, -1, () => session.question.sliders[one.name] ?? 0,
      (value) => ask((question) => { question.sliders[one.name] = value; }));
  });
  const variety = slider("variety", "most alike", "varied", 0, () => session.question.diversity,
    (value) => ask((question) => { question.diversity = value; }));
  place.replaceChildren(element("details", { open: matchMedia("(min-width: 900px)").matches },
    element("summary", {}, "Shift it"), element("div", { class: "slider-grid" }, variety, ...rows)));
  return () => { for (const set of setters) set(); };

  /**
   * @param {string} name
   * @param {string} less
   * @param {string} more
   * @param {number} least
   * @param {() => number} read
   * @param {(value: number) => void} write
   */
  function slider(name, less, more, least, read, write) {
    const input = element("input", { type: "range", min: String(least), max: "1", step: "0.25", "aria-label": capital(name) });
    const set = () => {
      input.value = String(read());
      tell();
    };
    const tell = () => {
      const value = Number(input.value), where = value === 0 ? "as it is" : `${value < 0 ? less : more}, ${Math.abs(100 * value)} %`;
      input.setAttribute("aria-valuetext", where);
    };
    input.addEventListener("input", tell);
    input.addEventListener("change", () => {
      if (Number(input.value) === read()) return;
      write(Number(input.value));
      onChange();
    });
    setters.push(set);
    set();
    return element("label", { class: "slider" }, element("span", { "aria-hidden": "true" }, less), element("span", { "aria-hidden": "true" }, more), input);
  }
}
