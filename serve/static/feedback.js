// What a listener did with what was shown, under a random id that can be forgotten.

import { erase, get, LISTENER, post } from "./api.js";
import { ofBrowser } from "./kept.js";
import { onLeft } from "./player.js";
import { session } from "./session.js";

const PATH = "v1/feedback";
const SKIP_SECONDS = 30; // who leaves a clip sooner has skipped it, as `tonearm abtest` counts
const TRIES = 3;

/** @type {Promise<boolean> | null} */
let offered = null;

/** Whether the server takes feedback. @returns {Promise<boolean>} */
export function takesFeedback() {
  offered ??= get("openapi.json").then((told) => `/${PATH}` in told.paths, () => {
    offered = null; // not known: the next who asks looks again
    return false;
  });
  return offered;
}

/** 128 random bits; crypto.randomUUID is for pages by https alone. */
const random = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** The listener's random id, made when it is first needed. */
function listener() {
  const known = ofBrowser.getItem(LISTENER);
  if (known) return known;
  const made = random();
  ofBrowser.setItem(LISTENER, made);
  toldOf();
  return made;
}

let toldOf = () => {};

/** Be told when the listener gets an id. @param {() => void} watcher the one that is told */
export function whenKnown(watcher) {
  toldOf = watcher;
}

/** Whether this browser has a listener's id. */
export const isKnown = () => ofBrowser.getItem(LISTENER) !== null;

/** @type {Set<Promise<unknown>>} what is being told */
const onTheirWay = new Set();

/** Let the server delete what this listener did, and forget the id. */
export async function forgetMe() {
  const known = ofBrowser.getItem(LISTENER);
  ofBrowser.removeItem(LISTENER); // nothing more is told by this id
  try {
    await Promise.allSettled(onTheirWay); // what came after the deletion would stay
    if (known) await erase(`${PATH}/${known}`);
  } catch (error) {
    if (known && !isKnown()) ofBrowser.setItem(LISTENER, known); // it can be tried again
    throw error;
  }
}

/**
 * Tell what was done with a neighbour; sent again by the same id if the server was not there.
 * @param {"like" | "dislike" | "skip" | "play"} kind
 * @param {import("./types.d.ts").Neighbour} track
 * @param {number} [seconds]
 * @param {{ answer: import("./types.d.ts").Answer | null, recording: import("./types.d.ts").Recording | null }} [shownBy] by which answer to what it was shown
 */
export function tell(kind, track, seconds, shownBy = session) {
  const told = send(kind, track, seconds, shownBy);
  onTheirWay.add(told);
  void told.catch(() => undefined).finally(() => onTheirWay.delete(told));
  return told;
}

/** @param {Parameters<typeof tell>[0]} kind @param {Parameters<typeof tell>[1]} track @param {number | undefined} seconds @param {NonNullable<Parameters<typeof tell>[3]>} shownBy */
async function send(kind, track, seconds, { answer, recording }) {
  const event = {
    event_id: random(), listener: listener(), kind, track_id: track.track_id, position: track.rank,
    ...(recording?.sample ? { seed: recording.sample } : {}),
    ...(seconds === undefined ? {} : { seconds: Math.round(seconds * 10) / 10 }),
    ...(answer ? { model: answer.model, version: answer.version } : {}),
    ...(answer?.arm ? { arm: answer.arm } : {}),
    ...(answer?.request_id ? { request_id: answer.request_id } : {}),
  };
  for (let sent = 1; ; sent++) {
    try {
      return await post(PATH, event, { keepalive: kind === "play" || kind === "skip" }); // whoever leaves the page leaves the track
    } catch (error) {
      if (sent >= TRIES || !(/** @type {import("./api.js").Problem} */ (error).mayComeBack)) throw error;
      await new Promise((resolve) => setTimeout(resolve, 500 * sent));
      if (ofBrowser.getItem(LISTENER) !== event.listener) throw error; // who is forgotten says nothing more
    }
  }
}

/** Tell of neighbours that were played: heard, or skipped. @param {(id: string) => import("./types.d.ts").Neighbour | undefined} shown */
export function watchPlays(shown) {
  onLeft(async (key, seconds, ended) => {
    const track = key.startsWith("track ") ? shown(key.slice(6)) : undefined, shownBy = { ...session }; // as it is now: another may come meanwhile
    if (!track || !isKnown() || !(await takesFeedback())) return; // only of who has given a thumb before
    await tell(ended || seconds >= SKIP_SECONDS ? "play" : "skip", track, seconds, shownBy).catch(() => undefined);
  });
}
