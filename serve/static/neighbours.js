// What sounds like the recording, what shifts it, and how to take that back.

import { hear, hearWindows, servedCatalogue } from "./asking.js";
import { neighbourCard } from "./card.js";
import { button, element, say } from "./dom.js";
import { watchPlays } from "./feedback.js";
import { banner, cancelled } from "./problems.js";
import { ask, isPlain, session, undo } from "./session.js";
import { slidersPanel } from "./sliders.js";
import { plain, titled } from "./words.js";

/** @typedef {import("./types.d.ts").Answer} Answer */
/** @typedef {import("./types.d.ts").Neighbour} Neighbour */

/** @type {Map<string, Neighbour>} */
let shown = new Map();
watchPlays((id) => shown.get(id));

/** @type {Map<string, string>} titles of what was more or less wanted, by id */
const titles = new Map();

/** @param {Answer} first */
export function neighboursCard(first) {
  const list = element("ol", { class: "neighbours" });
  const asked = element("div", { class: "row asked" }), changed = element("p", { class: "hint changed", role: "status", tabIndex: -1 });
  const panel = element("div", { class: "sliders" });
  /** @type {AbortController | null} */
  let running = null;
  /** @type {Promise<Map<string, Neighbour>> | null} */
  let windows = null;
  let answer = first;
  const { recording } = session;

  const actions = {
    more: (/** @type {Neighbour} */ track) => refine(track, "like", "dislike"),
    less: (/** @type {Neighbour} */ track) => refine(track, "dislike", "like"),
    windows: () => {
      windows ??= hearWindows(new AbortController().signal).then((told) => new Map((told.neighbours ?? []).map((one) => [one.track_id, one])),
        (error) => { windows = null; throw error; });
      return windows;
    },
  };

  /** @param {Neighbour} track @param {"like" | "dislike"} to @param {"like" | "dislike"} from */
  function refine(track, to, from) {
    titles.set(track.track_id, titled(track));
    ask((question) => {
      question[from] = question[from].filter((id) => id !== track.track_id);
      if (!question[to].includes(track.track_id)) question[to].push(track.track_id);
    });
    void refresh();
  }

  async function refresh() {
    const goesOn = list.contains(document.activeElement) || asked.contains(document.activeElement); // what was pressed is made anew
    running?.abort();
    const mine = running = new AbortController();
    showAsked();
    list.setAttribute("aria-busy", "true");
    changed.textContent = "Asking again …";
    try {
      const found = await hear(mine.signal);
      if (session.recording !== recording) return; // another one is heard by now
      const before = answer;
      answer = session.answer = found;
      windows = null;
      fill(new Set((before.neighbours ?? []).map((one) => one.track_id)));
      changed.textContent = whatChanged(before, found);
      if (goesOn && document.activeElement === document.body) changed.focus({ preventScroll: true });
    } catch (error) {
      if (!cancelled(error)) changed.replaceChildren(banner(error, () => void refresh()));
    } finally {
      if (running === mine) list.removeAttribute("aria-busy");
    }
  }

  /** @param {Set<string> | null} before */
  function fill(before) {
    const found = answer.neighbours ?? [];
    shown = new Map(found.map((one) => [one.track_id, one]));
    list.replaceChildren(...found.map((one) => neighbourCard(one, { ...actions, isNew: before !== null && !before.has(one.track_id) })));
  }

  function showAsked() {
    const { question } = session;
    const chip = (/** @type {string} */ text, /** @type {string} */ id, /** @type {"like" | "dislike"} */ field) => {
      const made = button(`${text} ${titles.get(id) ?? id}`, () => {
        ask((changed) => { changed[field] = changed[field].filter((other) => other !== id); });
        void refresh();
      }, { class: "small chip" });
      made.append(element("span", { "aria-hidden": "true" }, " ✕"), element("span", { class: "unseen" }, ": take it away"));
      return made;
    };
    const back = button("Undo", () => { undo(); void refresh(); }, { class: "small", hidden: !session.before.length });
    const plainly = button("Reset", () => { ask((changed) => Object.assign(changed, { like: [], dislike: [], sliders: {}, diversity: 0 })); void refresh(); },
      { class: "small", hidden: isPlain(question) });
    asked.replaceChildren(...question.like.map((id) => chip("more like", id, "like")),
      ...question.dislike.map((id) => chip("less like", id, "dislike")), back, plainly);
    setSliders?.();
  }

  /** @type {(() => void) | null} */
  let setSliders = null;
  void servedCatalogue().then((catalogue) => {
    if (!catalogue) return;
    setSliders = slidersPanel(panel, catalogue, () => void refresh());
  }, (error) => panel.replaceChildren(banner(error)));

  fill(null);
  showAsked();
  const notes = (first.notes ?? []).map((note) => element("p", { class: "hint" }, note));
  return element("article", { class: "card neighbours-card", "aria-label": "What sounds like it" },
    element("h3", {}, "What sounds like it"), ...notes, panel, asked, changed, list);
}

/** In words, what another question has changed. @param {Answer} before @param {Answer} after */
function whatChanged(before, after) {
  const ids = new Set((before.neighbours ?? []).map((one) => one.track_id)), now = after.neighbours ?? [];
  const fresh = now.filter((one) => !ids.has(one.track_id)).length;
  const parts = [fresh ? `${fresh} of ${now.length} are new` : "the same tracks, perhaps in another order"];
  for (const { name } of now[0]?.shifts ?? []) {
    const mean = meanOf(now, name), seed = now[0].shifts.find((shift) => shift.name === name)?.seed;
    if (mean !== null) parts.push(`${plain(name)} ${mean.toFixed(name === "year" ? 0 : 1)} on average${seed ? `, the seeds’ ${seed.toFixed(name === "year" ? 0 : 1)}` : ""}`);
  }
  const text = `${parts.join("; ")}.`;
  say(text);
  return text;
}

/** @param {Neighbour[]} tracks @param {string} name */
function meanOf(tracks, name) {
  const values = tracks.map((one) => one.shifts.find((shift) => shift.name === name)?.value).filter((value) => typeof value === "number");
  return values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null;
}
