// The requests that are made of a recording.

import { get, upload } from "./api.js";
import { movedSliders, session } from "./session.js";

/** @typedef {import("./types.d.ts").Answer} Answer */
/** @typedef {import("./types.d.ts").Catalogue} Catalogue */
/** @typedef {import("./types.d.ts").Health} Health */

export const NEIGHBOURS = 8;

/** @type {Promise<Health> | null} */
let health = null;
/** @type {Promise<Catalogue | null> | null} */
let catalogue = null;

/** What the server says of itself; asked once, unless it was starting. @returns {Promise<Health>} */
export function served() {
  health ??= get("healthz").then((told) => {
    if (told.status !== "ok") health = null;
    return told;
  }, (error) => {
    health = null;
    throw error;
  });
  return health;
}

/** The catalogue as a whole; null of a server without one. @returns {Promise<Catalogue | null>} */
export function servedCatalogue() {
  catalogue ??= served().then((told) => (told.tracks ? get("v1/catalogue") : null)).catch((error) => {
    catalogue = null;
    throw error;
  });
  return catalogue;
}

/** The fields of the question beside the recording. @returns {[string, string][]} */
export function fields() {
  const { question, recording } = session;
  /** @type {[string, string][]} */
  const found = [["k", String(NEIGHBOURS + (recording?.sample ? 1 : 0))]];
  for (const id of question.like) found.push(["like", id]);
  for (const id of question.dislike) found.push(["dislike", id]);
  const sliders = movedSliders(question);
  if (Object.keys(sliders).length) found.push(["sliders", JSON.stringify(sliders)]);
  if (question.diversity) found.push(["diversity", String(question.diversity)]);
  return found;
}

/** @param {[string, string][]} [more] */
function form(more = []) {
  const { recording } = session;
  if (!recording) throw new Error("there is no recording");
  const made = new FormData();
  for (const [name, value] of more) made.append(name, value);
  made.append("audio", recording.file, recording.name);
  return made;
}

/**
 * What the recording is, with its neighbours where there is a catalogue.
 * @param {AbortSignal} signal
 * @param {(share: number) => void} [onSent]
 * @returns {Promise<Answer>}
 */
export async function hear(signal, onSent) {
  const { tracks } = await served();
  if (!tracks) return upload("v1/classify?timeline=true", form(), signal, onSent);
  const answer = await upload("v1/recommend", form(fields()), signal, onSent);
  return withoutItself(answer);
}

/** Neighbours with the windows that are most alike; each is heard, so it takes longer. @param {AbortSignal} signal @returns {Promise<Answer>} */
export const hearWindows = async (signal) => withoutItself(await upload("v1/recommend", form([...fields(), ["windows", "true"]]), signal));

/** A sample of the catalogue is its own nearest neighbour. @param {Answer} answer @returns {Answer} */
function withoutItself(answer) {
  const sample = session.recording?.sample;
  const others = (answer.neighbours ?? []).filter((one) => one.track_id !== sample);
  return { ...answer, neighbours: others.slice(0, NEIGHBOURS) };
}

/** Tempo, key, loudness, … of the recording. @param {AbortSignal} signal @returns {Promise<import("./types.d.ts").MeasuredAttribute[]>} */
export const measure = async (signal) => (await upload("v1/attributes", form(), signal)).attributes;

/** The command that asks the same. */
export function curl() {
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const name = session.recording?.name ?? "song.mp3";
  const audio = /["\\;,]/.test(name) ? "song.mp3" : name; // curl reads these itself
  const parts = fields().map(([field, value]) => `${/^[@<]|;/.test(value) ? "--form-string" : "-F"} ${quoted(`${field}=${value}`)}`); // -F would read a file of that name
  return ["curl", ...parts, `-F ${quoted(`audio=@${audio}`)}`];
}
