// The one player of the page: whatever plays, plays here, and stops what played before.

import { getBytes, trackPath } from "./api.js";
import { button, byId, element, say } from "./dom.js";
import { told } from "./problems.js";
import { clock } from "./words.js";

const KEPT_CLIPS = 24; // of tracks, in the browser's memory

/** @typedef {{ key: string, title: string, load: () => Promise<string> }} Sound what can be played; load gives its URL */
/** @typedef {(key: string, seconds: number, ended: boolean) => void} OnLeft */

const audio = new Audio();
/** @type {Sound | null} */
let current = null;
/** @type {number | null} */
let until = null; // seconds at which a part ends
/** @type {(() => void)[]} */
const watchers = [];
/** @type {(() => void) | null} */
let whenEnded = null;
/** @type {OnLeft[]} */
const leavers = [];
let heardFrom = 0;
/** @type {Map<string, string>} */
const clips = new Map();

/** What plays now: its key and where, in seconds; or null. */
export const playing = () => (current ? { key: current.key, seconds: audio.currentTime, paused: audio.paused } : null);

/** Be told whenever it plays, stops, or goes on. @param {() => void} watcher */
export function onPlayer(watcher) {
  watchers.push(watcher);
}

/** Be told when something has been left, after how many seconds of it. @param {OnLeft} leaver */
export function onLeft(leaver) {
  leavers.push(leaver);
}

/** A track of the catalogue. @param {string} id @param {string} title @returns {Sound} */
export const trackSound = (id, title) => ({ key: `track ${id}`, title, load: () => clipOf(id) });

/** A part of a track, from a second on. @param {string} id @param {string} title @param {number} start @param {number} seconds @returns {Sound} */
export const partSound = (id, title, start, seconds) =>
  ({ key: `part ${id} ${start}`, title, load: () => clipOf(id, `?start=${start}&seconds=${seconds}`) });

/** @param {string} id @param {string} [query] */
async function clipOf(id, query = "") {
  const path = `${trackPath(id)}/clip${query}`, known = clips.get(path);
  if (known) return known;
  const made = URL.createObjectURL(await getBytes(path));
  clips.set(path, made);
  if (clips.size > KEPT_CLIPS) {
    const [oldest, url] = [...clips][0];
    clips.delete(oldest);
    if (audio.src !== url) URL.revokeObjectURL(url);
  }
  return made;
}

/**
 * Play a sound, or go on with it.
 * @param {Sound} sound
 * @param {{ from?: number, to?: number, ended?: () => void }} [part] seconds; ended is called at its end, unless something else is played
 */
export async function play(sound, part = {}) {
  whenEnded = part.ended ?? null;
  try {
    if (current?.key !== sound.key) {
      leave(false);
      current = sound;
      show();
      const url = await sound.load();
      if (current !== sound) return; // something else was asked for meanwhile
      audio.src = url;
      heardFrom = part.from ?? 0;
    }
    if (part.from !== undefined) audio.currentTime = part.from;
    until = part.to ?? null;
    await audio.play();
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") return;
    if (current === sound) stop();
    const text = error instanceof DOMException
      ? `${sound.title} cannot be played by this browser. Its answer is not touched by that.`
      : told(error);
    failed(text);
  }
}

/** Play or pause. @param {Sound} sound */
export function toggle(sound) {
  if (current?.key === sound.key && !audio.paused) audio.pause();
  else void play(sound);
}

/** Stop, and put the player away. */
export function stop() {
  leave(false);
  whenEnded = null;
  audio.removeAttribute("src");
  current = null;
  show();
}

/** @param {boolean} ended */
function leave(ended) {
  if (current && audio.currentTime > 0) {
    const seconds = audio.currentTime - heardFrom;
    if (seconds > 0) for (const leaver of leavers) leaver(current.key, seconds, ended);
  }
  audio.pause();
}

/** @param {string} text */
function failed(text) {
  say(text);
  byId("player").hidden = false;
  byId("player").replaceChildren(element("div", { class: "player" }, element("span", {}, text),
    element("span"), element("span"), button("Close", show, { class: "small" })));
}

/**
 * A button that plays a sound and shows whether it plays.
 * @param {Sound} sound
 * @param {{ class?: string, text?: string }} [options]
 */
export function playButton(sound, options = {}) {
  const made = button("", () => toggle(sound), { class: options.class ?? "small" });
  const update = () => {
    const on = current?.key === sound.key && !audio.paused;
    made.textContent = `${on ? "❚❚" : "▶"}${options.text === "" ? "" : ` ${options.text ?? (on ? "Pause" : "Play")}`}`;
    made.setAttribute("aria-label", `${on ? "Pause" : "Play"} ${sound.title}`);
  };
  update();
  const watcher = () => {
    if (made.isConnected || !shown.has(made)) update();
    if (made.isConnected) shown.add(made);
    else if (shown.has(made)) watchers.splice(watchers.indexOf(watcher), 1); // its card is gone
  };
  watchers.push(watcher);
  return made;
}

/** @type {WeakSet<HTMLElement>} */
const shown = new WeakSet();

/** @type {{ bar: HTMLElement, position: HTMLInputElement, time: HTMLElement } | null} */
let controls = null;

function show() {
  const place = byId("player");
  place.hidden = current === null;
  if (!current) {
    controls = null;
    place.replaceChildren();
  } else if (controls?.bar.dataset.key !== current.key) {
    const position = element("input", { type: "range", min: "0", max: "1", step: "0.1", value: "0", "aria-label": `Position in ${current.title}` });
    position.addEventListener("input", () => { audio.currentTime = Number(position.value); until = null; });
    const time = element("span", { class: "time" }, "loading …");
    const bar = element("div", { class: "player" }, playButton(current, { text: "" }),
      element("div", {}, element("b", {}, current.title), position), time,
      button("✕", stop, { class: "small", "aria-label": "Stop and close the player" }));
    bar.dataset.key = current.key;
    controls = { bar, position, time };
    place.replaceChildren(bar);
  }
  for (const watcher of [...watchers]) watcher();
}

/** The part, or the sound, has come to its end. */
function finish() {
  const call = whenEnded;
  whenEnded = null;
  call?.();
}

function tick() {
  if (until !== null && audio.currentTime >= until) {
    until = null;
    audio.pause();
    finish();
  }
  if (controls && Number.isFinite(audio.duration)) {
    controls.position.max = String(audio.duration);
    controls.position.value = String(audio.currentTime);
    controls.position.setAttribute("aria-valuetext", clock(audio.currentTime));
    controls.time.textContent = `${clock(audio.currentTime)} / ${clock(audio.duration)}`;
  }
  for (const watcher of [...watchers]) watcher();
}

for (const event of ["play", "pause", "timeupdate", "loadedmetadata"]) audio.addEventListener(event, tick);
audio.addEventListener("ended", () => {
  leave(true);
  heardFrom = audio.currentTime; // told once
  tick();
  finish();
});
