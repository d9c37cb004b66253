// How far the answer is: sent, decoded, heard, compared.

import { button, byId, element, say } from "./dom.js";
import { bytes, percent } from "./words.js";

const STEPS = { sent: "Sent to the server", decoded: "Decoded for the picture", heard: "Heard by the model", compared: "Compared with the catalogue" };

/** @typedef {keyof typeof STEPS} StepName */

/**
 * Show the steps; returns what tells how far each is.
 * @param {Blob} file
 * @param {string} name
 * @param {() => void} cancel
 */
export function showProgress(file, name, cancel) {
  /** @type {Record<string, HTMLLIElement>} */
  const rows = {};
  for (const [step, text] of Object.entries(STEPS)) {
    rows[step] = element("li", { "data-state": "waits" }, element("span", { class: "mark", "aria-hidden": "true" }),
      element("span", {}, text), element("span", { class: "how" }));
  }
  const list = element("ul", { class: "steps card", "aria-label": `Progress of ${name}` }, ...Object.values(rows));
  const stop = button("Cancel", cancel, { class: "small" });
  list.append(element("li", { "data-state": "done", class: "cancel" }, element("span"), stop, element("span", {}, bytes(file.size))));
  byId("progress").replaceChildren(list);
  say(`${name} is being sent.`);
  return {
    /** @param {StepName} step @param {"now" | "done" | "not"} state @param {string} [how] */
    set(step, state, how = "") {
      rows[step].dataset.state = state;
      const [, , note] = rows[step].children;
      note.textContent = how;
      if (state === "done") say(STEPS[step]);
    },
    /** @param {number} share */
    sent(share) {
      this.set("sent", share < 1 ? "now" : "done", percent(share));
      if (share >= 1 && rows.heard.dataset.state === "waits") this.set("heard", "now");
    },
    close() {
      byId("progress").replaceChildren();
    },
  };
}
