// From a recording to everything that is said of it, in the order in which it comes.

import { hear, measure, servedCatalogue } from "./asking.js";
import { aboutCard } from "./about.js";
import { answerCard } from "./answer.js";
import { attributesCard } from "./attributes.js";
import { byId, element, say } from "./dom.js";
import { neighboursCard } from "./neighbours.js";
import { stop } from "./player.js";
import { banner, cancelled } from "./problems.js";
import { showProgress } from "./progress.js";
import { recordingCard } from "./recording_view.js";
import { begin, forget, session } from "./session.js";
import { decode } from "./spectrogram.js";
import { bytes, inWords } from "./words.js";

/** @type {AbortController | null} */
let running = null;
/** @type {((answer: import("./types.d.ts").Answer | null) => void)[]} */
const watchers = [];

/** Be told of each answer, and with null when it is forgotten. @param {(answer: import("./types.d.ts").Answer | null) => void} watcher */
export function onAnswer(watcher) {
  watchers.push(watcher);
}

/**
 * Hear a recording.
 * @param {Blob} file
 * @param {string} name
 * @param {string} [sample] its track id, of one of the catalogue's
 */
export async function listen(file, name, sample = "") {
  running?.abort();
  const mine = running = new AbortController();
  stop();
  const recording = begin(file, name, sample);
  byId("answer").replaceChildren();
  byId("sources").classList.add("compact");
  for (const watcher of watchers) watcher(null);
  const progress = showProgress(file, name, () => mine.abort());
  progress.set("sent", "now");
  progress.set("decoded", "now");
  const decoding = decode(file).then((found) => {
    progress.set("decoded", "done");
    return found;
  }, () => {
    progress.set("decoded", "not", "not by this browser");
    return null;
  });
  try {
    const answer = await hear(mine.signal, (share) => progress.sent(share));
    session.answer = session.plainly = answer;
    progress.set("sent", "done", bytes(file.size));
    progress.set("heard", "done", `${answer.seconds.toFixed(1)} s`);
    progress.set("compared", "now");
    const measured = element("div", { class: "waits" }, element("p", { class: "hint" }, "Measuring tempo, key, loudness …"));
    const decoded = await decoding;
    if (mine.signal.aborted) return;
    show(answer, recording, decoded, measured);
    for (const watcher of watchers) watcher(answer);
    await compare(measured, mine.signal);
    progress.close();
  } catch (error) {
    if (session.recording !== recording) return; // another one is heard by now
    progress.close();
    if (cancelled(error)) {
      say("Cancelled.");
      clear();
    } else {
      byId("progress").replaceChildren(banner(error, () => void listen(file, name, sample), name));
      byId("sources").classList.remove("compact");
      (byId("progress").querySelector("button") ?? byId("choose")).focus({ preventScroll: true }); // what can be done next
    }
  }
}

/**
 * @param {import("./types.d.ts").Answer} answer
 * @param {import("./types.d.ts").Recording} recording
 * @param {{ samples: Float32Array, seconds: number } | null} decoded
 * @param {HTMLElement} measured
 */
function show(answer, recording, decoded, measured) {
  byId("answer").replaceChildren(
    answerCard(answer, recording.name),
    recordingCard(recording, decoded, answer.timeline ?? []),
    element("div", { class: "two" }, measured, answer.neighbours ? neighboursCard(answer) : noCatalogue()),
    aboutCard(answer, clear));
  say(`${inWords(answer).title}.`);
  byId("verdict").focus({ preventScroll: true });
}

/** The attributes, which take a pass of their own; what fails there leaves the answer. @param {HTMLElement} place @param {AbortSignal} signal */
async function compare(place, signal) {
  try {
    const [attributes, catalogue] = await Promise.all([measure(signal), servedCatalogue()]);
    place.replaceChildren(attributesCard(attributes, catalogue));
    place.classList.remove("waits");
  } catch (error) {
    if (cancelled(error)) place.replaceChildren(element("p", { class: "hint" }, "Measuring was cancelled."));
    else place.replaceChildren(banner(error, () => void compare(place, signal)));
  }
}

const noCatalogue = () => element("article", { class: "card", "aria-label": "No catalogue" },
  element("h3", {}, "What sounds like it"),
  element("p", {}, "This model has no catalogue to compare with. ", element("code", {}, "tonearm index --audio FOLDER"), " makes one."));

/** Forget the recording, and begin again. */
export function clear() {
  running?.abort();
  stop();
  forget();
  byId("answer").replaceChildren();
  byId("progress").replaceChildren();
  byId("sources").classList.remove("compact");
  byId("choose").focus();
  for (const watcher of watchers) watcher(null);
}
