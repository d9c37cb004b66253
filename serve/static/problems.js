// What went wrong, in a banner with what to do.

import { Problem } from "./api.js";
import { button, element, say } from "./dom.js";
import { capital } from "./words.js";

/** What is wrong with a recording, by the server's code, for who only wants it heard. */
const RECORDINGS = /** @type {Record<string, string>} */ ({
  empty: "The file is empty. Choose another one.",
  undecodable: "This is no recording that can be read. Choose an MP3, WAV, FLAC, Ogg or M4A file.",
  bad_header: "This is no recording that can be read: the file is damaged. Choose another one.",
  silent: "There is no sound in this recording. Choose another one, or see that the microphone is on.",
  too_short: "This recording is too short to be heard. Choose a longer one.",
  too_long: "This recording is too long for this server. Choose a shorter one, or a part of it.",
  too_large: "This file is too large for this server. Choose a smaller one, such as an MP3 of it.",
  clipped: "This recording is so overdriven that no music is left of it. Choose another one.",
});

const SAID = ["empty", "silent"]; // the server's own words add nothing

/**
 * A banner about a failure; again is offered where it may help.
 * @param {unknown} error
 * @param {(() => void) | null} [again]
 * @param {string} [name] of the recording that it is about
 */
export function banner(error, again = null, name = "") {
  const text = told(error), code = name && error instanceof Problem ? error.code : "", plainly = RECORDINGS[code];
  say(plainly ?? text);
  const made = element("div", { class: "banner", role: "alert" }, name ? element("p", { class: "of" }, name) : null,
    element("p", {}, plainly ?? text), plainly && !SAID.includes(code) ? element("p", { class: "detail" }, text) : null);
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
