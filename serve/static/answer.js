// The answer in words, its bars, and a banner where nothing like it was learned.

import { element } from "./dom.js";
import { bars, inWords, percent } from "./words.js";

const SHOWN = 3;

/** @param {import("./types.d.ts").Answer} answer @param {string} name of the recording */
export function answerCard(answer, name) {
  const { title, detail } = inWords(answer);
  const heading = element("h3", { class: "verdict", tabIndex: -1, id: "verdict" }, title);
  const all = bars(answer);
  const rest = all.slice(SHOWN);
  return element("article", { class: "card verdict-card", "aria-labelledby": "verdict" },
    element("p", { class: "hint over" }, name),
    heading,
    answer.doubt ? element("p", { class: "banner", role: "note" },
      "This sounds like nothing that the model has learned from. Take the answer with care.") : null,
    element("ul", { class: "bars", "aria-label": "The most probable" }, ...all.slice(0, SHOWN).map(bar)),
    rest.length ? element("details", {}, element("summary", {}, `${rest.length} more`), element("ul", { class: "bars" }, ...rest.map(bar))) : null,
    detail ? element("details", {}, element("summary", {}, "What speaks for it"), element("p", { class: "why" }, detail)) : null);
}

/** @param {{ name: string, value: number }} one */
function bar(one) {
  const filled = element("span", { class: "filled" });
  filled.style.width = `${100 * Math.max(0, Math.min(1, one.value))}%`;
  return element("li", {}, element("span", { class: "name" }, one.name), element("span", { class: "value" }, percent(one.value)),
    element("span", { class: "track", "aria-hidden": "true" }, filled));
}
