// The recording as a picture with the windows' timeline; a click plays there.

import { element } from "./dom.js";
import { onPlayer, play, playButton, playing } from "./player.js";
import { drawSpectrogram } from "./spectrogram.js";
import { clock, percent } from "./words.js";

/** @typedef {import("./types.d.ts").Recording} Recording */
/** @typedef {import("./types.d.ts").Moment} Moment */

const LANES = ["--lane-0", "--lane-1", "--lane-2", "--lane-3", "--lane-4", "--lane-5"];

/** The user's own recording as a sound. @param {Recording} recording @returns {import("./player.js").Sound} */
export const ownSound = (recording) => ({ key: recording.url, title: recording.name, load: async () => recording.url });

/**
 * @param {Recording} recording
 * @param {{ samples: Float32Array, seconds: number } | null} decoded null: the browser cannot read it
 * @param {Moment[]} timeline
 */
export function recordingCard(recording, decoded, timeline) {
  const sound = ownSound(recording);
  const body = decoded ? picture(sound, decoded, timeline)
    : [element("p", { class: "hint" }, "This browser cannot decode the recording, so there is no picture and no sound of it. The server has heard it all the same.")];
  return element("article", { class: "card", "aria-label": "The recording" },
    element("div", { class: "row spread" }, element("h3", {}, "The recording"), decoded ? playButton(sound, { class: "small main" }) : null), ...body);
}

/** @param {import("./player.js").Sound} sound @param {{ samples: Float32Array, seconds: number }} decoded @param {Moment[]} timeline */
function picture(sound, decoded, timeline) {
  const canvas = element("canvas", { role: "img", "aria-label": `Spectrogram: ${clock(decoded.seconds)} from left to right, low notes below` });
  const head = element("span", { class: "playhead", hidden: true });
  const plot = element("div", { class: "spectrogram" }, canvas, head);
  plot.addEventListener("click", (event) => {
    const box = plot.getBoundingClientRect();
    void play(sound, { from: ((event.clientX - box.left) / box.width) * decoded.seconds });
  });
  onPlayer(() => {
    const now = playing();
    head.hidden = now?.key !== sound.key;
    if (now) head.style.left = `${(100 * now.seconds) / decoded.seconds}%`;
  });
  void afterShown().then(() => drawSpectrogram(canvas, decoded.samples));
  const parts = merged(timeline);
  return [plot, element("p", { class: "hint" }, parts.length ? "Click the picture, or a window below it, to play there." : "Click the picture to play there."),
    parts.length ? windows(sound, parts, decoded.seconds) : null].filter((part) => part !== null);
}

const afterShown = () => new Promise((resolve) => requestAnimationFrame(resolve));

/** @param {import("./player.js").Sound} sound @param {Moment[]} parts @param {number} seconds */
function windows(sound, parts, seconds) {
  const names = [...new Set(parts.map((part) => part.name))];
  const list = element("ol", { class: "windows", "aria-label": "What is heard when" });
  for (const part of parts) {
    const lane = names.indexOf(part.name) % LANES.length;
    const made = element("button", { type: "button", class: "window", title: `${part.name}, ${percent(part.value)}`,
      onclick: () => void play(sound, { from: part.start, to: part.end }),
      "aria-label": `Play ${clock(part.start)} to ${clock(part.end)}: ${part.name}, ${percent(part.value)}` }, part.name);
    made.style.setProperty("--lane", `var(${LANES[lane]})`);
    const item = element("li", {}, made);
    item.style.left = `${(100 * part.start) / seconds}%`;
    item.style.width = `${(100 * (Math.min(part.end, seconds) - part.start)) / seconds}%`;
    list.append(item);
  }
  return list;
}

/** Windows in a row that say the same, as one; each ends where the next begins. @param {Moment[]} timeline @returns {Moment[]} */
export function merged(timeline) {
  /** @type {(Moment & { count: number })[]} */
  const found = [];
  for (const moment of timeline) {
    const last = found.at(-1);
    if (last && last.name === moment.name) {
      last.value = (last.value * last.count + moment.value) / (last.count + 1);
      last.count += 1;
      last.end = Math.max(last.end, moment.end);
    } else {
      if (last) last.end = Math.min(last.end, moment.start + (last.end - moment.start) / 2);
      found.push({ ...moment, start: last ? Math.max(moment.start, last.end) : moment.start, count: 1 });
    }
  }
  return found;
}
