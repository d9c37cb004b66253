// Who answered, from what data, how well it scores, and how to ask the same by curl.

import { get, server } from "./api.js";
import { curl, servedCatalogue } from "./asking.js";
import { button, element, say } from "./dom.js";
import { forgetMe, isKnown, takesFeedback, whenKnown } from "./feedback.js";
import { told } from "./problems.js";
import { session } from "./session.js";
import { capital, plain } from "./words.js";

const FIRST_SCORES = ["f1_micro", "f1_macro", "balanced_accuracy", "log_loss"];

/** @param {import("./types.d.ts").Answer} answer @param {() => void} forget */
export function aboutCard(answer, forget) {
  const model = element("dl", { class: "facts" }), command = element("pre", { tabIndex: 0, "aria-label": "The curl command" });
  const show = () => { command.textContent = `${curl().join(" ")} \\\n  ${server}/v1/${answer.neighbours ? "recommend" : "classify"}`; };
  show();
  void facts(model, answer);
  const details = element("details", {}, element("summary", {}, "Ask the same by curl"), command,
    button("Copy", () => void copy(command.textContent ?? ""), { class: "small" }));
  session.asked = show;
  return element("article", { class: "card about", "aria-label": "Model and data" }, element("h3", {}, "Model and data"), model, details,
    element("div", { class: "row" }, button("Forget my file", forget, { class: "main" }), forgetMeButton()),
    element("p", { class: "hint" }, "The server writes no recording down; an answer may stay in its memory until others displace it."));
}

/** @param {HTMLElement} list @param {import("./types.d.ts").Answer} answer */
async function facts(list, answer) {
  const add = (/** @type {string} */ name, /** @type {string} */ text) => list.append(element("div", {}, element("dt", {}, name), element("dd", {}, text)));
  add("Model", `${answer.model}${answer.version ? ` version ${answer.version}` : ""} (${answer.bundle})`);
  add("Took", `${answer.seconds.toFixed(2)} s`);
  try {
    const [model, catalogue] = await Promise.all([get("v1/model"), servedCatalogue()]);
    add("Networks", `${model.networks}, each hears ${model.clip_seconds} s at most`);
    const scores = Object.entries(model.scores).filter(([name]) => FIRST_SCORES.includes(name));
    add("On held-out tracks", scores.map(([name, value]) => `${plain(name)} ${value.toFixed(3)}`).join(", ") || "not measured");
    if (catalogue) {
      const labels = Object.entries(catalogue.labels).slice(0, 8).map(([name, count]) => `${name} ${count}`);
      add("Catalogue", `${catalogue.tracks.toLocaleString("en")} tracks${labels.length ? `: ${labels.join(", ")}` : ""}`);
    }
  } catch (error) {
    add("More", told(error));
  }
}

function forgetMeButton() {
  const made = button("Forget me", async () => {
    try {
      await forgetMe();
      made.hidden = true;
      say("What you liked is deleted, and your random id is gone.");
    } catch (error) {
      say(capital(told(error)));
      made.title = told(error);
    }
  }, { hidden: true, title: "Deletes what you liked and skipped, and the random id of this browser" });
  const show = () => void takesFeedback().then((takes) => { made.hidden = !takes || !isKnown(); });
  whenKnown(show);
  show();
  return made;
}

/** @param {string} text */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied.");
  } catch {
    say("The browser does not let this page copy: mark the command, and copy it by hand.");
  }
}
