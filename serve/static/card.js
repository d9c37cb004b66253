// A neighbour: what it is, why it is here, and what one thinks of it.

import { getBytes, trackPath } from "./api.js";
import { button, element, say, svg } from "./dom.js";
import { takesFeedback, tell } from "./feedback.js";
import { partSound, play, playButton, trackSound } from "./player.js";
import { told } from "./problems.js";
import { ownSound } from "./recording_view.js";
import { session } from "./session.js";
import { capital, clock, credits, ordinal, percent, titled } from "./words.js";

const THUMB = "M2 10h4v11H2zM8 21V10l4.5-8c2 .3 2.9 1.6 2.5 3.5L14.3 9H20c1.4 0 2.2 1 2 2.3l-1.5 8c-.2 1.100-1.100 1.700-2 1.700z"; // not every machine has the emoji

const WHOLE = 20; // seconds of a window that is no part of a clip but most of it

/** @typedef {import("./types.d.ts").Neighbour} Neighbour */
/** @typedef {{ more: (track: Neighbour) => void, less: (track: Neighbour) => void, windows: () => Promise<Map<string, Neighbour>>, isNew: boolean }} Actions */

/** @param {Neighbour} track @param {Actions} actions */
export function neighbourCard(track, actions) {
  const name = titled(track), moved = track.rank_before - track.rank;
  const filled = element("span", { class: "filled" });
  filled.style.width = `${100 * Math.max(0, track.similarity)}%`;
  const [opener, body] = why(track, name, actions);
  const badges = [actions.isNew ? "new" : "", moved ? `was ${ordinal(track.rank_before)}` : ""].filter(Boolean);
  return element("li", { class: "neighbour" },
    element("div", { class: "head" }, playButton(trackSound(track.track_id, name), { text: "", class: "round" }),
      element("div", { class: "what" }, element("h4", {}, name), element("p", { class: "hint" }, credits(track))),
      element("p", { class: "similarity", title: "cosine of the embeddings" }, percent(Math.max(0, track.similarity)), element("span", { class: "unseen" }, " alike"),
        element("span", { class: "track", "aria-hidden": "true" }, filled))),
    badges.length ? element("p", { class: "badges" }, ...badges.map((badge) => element("span", {}, badge))) : null,
    track.because === "sounds alike" ? null : element("p", { class: "because" }, `${capital(track.because)}.`),
    element("div", { class: "row acts" },
      button("More like this", () => actions.more(track), { class: "small", "aria-label": `More like this: ${name}` }),
      button("Less", () => actions.less(track), { class: "small", "aria-label": `Less like ${name}` }),
      opener, thumbs(track, name)), body);
}

/** @param {Neighbour} track @param {string} name */
function thumbs(track, name) {
  const place = element("span", { class: "row thumbs", hidden: true, role: "group", "aria-label": `What do you think of ${name}?` });
  const thumb = (/** @type {"like" | "dislike"} */ kind) => {
    const made = button("", async () => {
      for (const other of place.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === made));
      try {
        await tell(kind, track);
        say(`Noted: ${kind} ${name}.`);
      } catch (error) {
        made.setAttribute("aria-pressed", "false");
        say(`Not kept: ${told(error)}`);
        made.title = told(error);
      }
    }, { class: "small", "aria-label": `${capital(kind)} ${name}`, "aria-pressed": "false" });
    made.append(svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", class: `thumb ${kind}` }, svg("path", { d: THUMB })));
    return made;
  };
  place.append(thumb("like"), thumb("dislike"));
  void takesFeedback().then((takes) => { place.hidden = !takes; });
  return place;
}

/** A button, and what it opens: words, picture and windows, fetched then. @param {Neighbour} track @param {string} name @param {Actions} actions */
function why(track, name, actions) {
  const body = element("div", { class: "why-body", hidden: true });
  const opener = button("Why", () => {
    body.hidden = !body.hidden;
    opener.setAttribute("aria-expanded", String(!body.hidden));
    if (body.childElementCount) return;
    const picture = element("p", { class: "hint" }, "Drawing …"), windows = element("p", { class: "hint" }, "Comparing window by window …");
    body.append(element("p", {}, `Place ${track.rank}; the cosine of both embeddings is ${track.similarity.toFixed(3)}.`), ...shifts(track), windows, picture);
    void showWindows(track, name, actions, windows);
    void showPicture(track, name, picture);
  }, { class: "small", "aria-label": `Why ${name}`, "aria-expanded": "false" });
  return [opener, body];
}

/** @param {Neighbour} track */
const shifts = (track) => track.shifts.filter((shift) => shift.value !== null).map((shift) =>
  element("p", {}, `${capital(shift.name.replaceAll("_", " "))} ${shift.value?.toFixed(1)}${shift.seed === null ? "" : `; the seeds’ ${shift.seed.toFixed(1)}`}.`));

/** @param {Neighbour} track @param {string} name @param {HTMLElement} place */
async function showPicture(track, name, place) {
  try {
    const url = URL.createObjectURL(await getBytes(`${trackPath(track.track_id)}/picture`));
    const image = element("img", { src: url, alt: `Spectrogram of ${name}`, loading: "lazy" });
    image.addEventListener("load", () => URL.revokeObjectURL(url));
    place.replaceWith(image);
  } catch (error) {
    place.textContent = told(error);
  }
}

/** @param {Neighbour} track @param {string} name @param {Actions} actions @param {HTMLElement} place */
async function showWindows(track, name, actions, place) {
  try {
    const match = (await actions.windows()).get(track.track_id)?.match;
    if (!match) {
      place.textContent = "There are no windows to compare: the model hears a recording as a whole, or this one is gone.";
      return;
    }
    if (match.seconds >= WHOLE && match.start === 0 && match.seed_start === 0) {
      place.textContent = `The model hears ${Math.round(match.seconds)} s at once, so no part of them is nearer than another.`;
      return;
    }
    const { recording } = session;
    const there = button(`▶ There, ${clock(match.start)}`, () => void play(partSound(track.track_id, name, match.start, match.seconds)),
      { class: "small" });
    const here = recording ? button(`▶ Yours, ${clock(match.seed_start)}`,
      () => void play(ownSound(recording), { from: match.seed_start, to: match.seed_start + match.seconds }), { class: "small" }) : null;
    place.replaceWith(element("div", { class: "row" }, element("span", {}, `Most alike (${match.similarity.toFixed(2)}):`), here, there));
  } catch (error) {
    place.textContent = told(error);
  }
}
