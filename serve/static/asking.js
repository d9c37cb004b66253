// The requests that are made of a recording.

import { get, post, Problem, upload } from "./api.js";
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

/** The question beside the recording. */
function asked() {
  const { question: { like, dislike, diversity }, recording } = session, sliders = movedSliders(session.question);
  return { k: NEIGHBOURS + (recording?.sample ? 1 : 0), ...(like.length ? { like } : {}), ...(dislike.length ? { dislike } : {}),
    ...(Object.keys(sliders).length ? { sliders } : {}), ...(diversity ? { diversity } : {}) };
}

/** The same as fields of a form: of a list each by itself. @returns {[string, string][]} */
export function fields() {
  return Object.entries(asked()).flatMap(([name, value]) => (Array.isArray(value) ? value.map((one) => /** @type {[string, string]} */ ([name, one]))
    : [/** @type {[string, string]} */ ([name, typeof value === "object" ? JSON.stringify(value) : String(value)])]));
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
  const { recording } = session, { tracks } = await served();
  if (!tracks) return upload("v1/classify?timeline=true", form(), signal, onSent);
  const answer = await named("v1/recommend", asked(), signal) ?? await upload("v1/recommend", form(fields()), signal, onSent);
  if (recording) recording.known = answer.recording ?? "";
  return withoutItself(answer);
}

/**
 * The answer of a server that has heard the recording before, and need not be sent it again; null of one that has not, or forgot.
 * @param {string} path
 * @param {object} question
 * @param {AbortSignal} signal
 */
async function named(path, question, signal) {
  const { recording } = session;
  if (!recording?.known) return null;
  try {
    return await post(path, { ...question, recording: recording.known }, { signal });
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "not_remembered") throw error;
    recording.known = "";
    return null;
  }
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
export async function measure(signal) {
  const isMeasured = (await servedCatalogue())?.attributes.some(({ name }) => name !== "year"); // then the recording was measured when it was heard, too
  const known = isMeasured ? await named("v1/attributes", {}, signal) : null;
  return (known ?? await upload("v1/attributes", form(), signal)).attributes;
}

/** The command that asks the same. */
export function curl() {
  const quoted = (/** @type {string} */ text) => `'${text.replaceAll("'", "'\\''")}'`;
  const name = session.recording?.name ?? "song.mp3";
  const audio = /["\\;,]/.test(name) ? "song.mp3" : name; // curl reads these itself
  const parts = fields().map(([field, value]) => `${/^[@<]|;/.test(value) ? "--form-string" : "-F"} ${quoted(`${field}=${value}`)}`); // -F would read a file of that name
  return ["curl", ...parts, `-F ${quoted(`audio=@${audio}`)}`];
}
