// What went wrong, in a banner with what to do.

import { Problem } from "./api.js";
import { button, element, say } from "./dom.js";
import { capital } from "./words.js";

/**
 * A banner about a failure; again is offered where it may help.
 * @param {unknown} error
 * @param {(() => void) | null} [again]
 */
export function banner(error, again = null) {
  const text = told(error);
  say(text);
  const made = element("div", { class: "banner", role: "alert" }, element("p", {}, text));
  if (again && (!(error instanceof Problem) || error.mayComeBack)) {
    made.append(button("Try again", () => { made.remove(); again(); }, { class: "small" }));
  }
  return made;
}

/** @param {unknown} error */
export function told(error) {
  if (!(error instanceof Problem)) return `This page failed (${error instanceof Error ? error.message : error}). Reload it, and try again.`;
  const wait = error.wait ? ` Try again in ${error.wait} s.` : "";
  const detail = capital(error.message.trim());
  return `${detail}${/[.!?]$/.test(detail) ? "" : "."}${wait}`;
}

/** Whether an error is a cancellation, which needs no banner. @param {unknown} error */
export const cancelled = (error) => error instanceof DOMException && error.name === "AbortError";
