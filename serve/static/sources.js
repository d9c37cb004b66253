// Where a recording comes from: dropped, chosen, recorded, or one of the catalogue's.

import { get, getBytes, trackPath } from "./api.js";
import { served, servedCatalogue } from "./asking.js";
import { button, byId, element } from "./dom.js";
import { banner } from "./problems.js";
import { recordButton } from "./recorder.js";
import { titled } from "./words.js";

/** @typedef {(file: Blob, name: string, sample?: string) => void} OnSource */

const OURS = 4;

/** Let recordings come in. @param {OnSource} onSource */
export function watchSources(onSource) {
  const input = /** @type {HTMLInputElement} */ (byId("file"));
  byId("choose").addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    const [file] = input.files ?? [];
    input.value = ""; // the same file may be chosen again
    if (file) onSource(file, file.name);
  });
  watchDrops(onSource);
  recordButton(byId("record"), onSource);
  void offerOurs(onSource);
}

/** @param {OnSource} onSource */
function watchDrops(onSource) {
  const holdsFiles = (/** @type {DragEvent} */ event) => [...(event.dataTransfer?.types ?? [])].includes("Files");
  document.addEventListener("dragover", (event) => {
    if (!holdsFiles(event)) return;
    event.preventDefault();
    document.body.classList.add("dragging");
  });
  for (const name of ["dragleave", "drop", "dragend"]) {
    document.addEventListener(name, (event) => {
      if (name === "dragleave" && /** @type {DragEvent} */ (event).relatedTarget) return; // still within the page
      document.body.classList.remove("dragging");
    });
  }
  document.addEventListener("drop", (event) => {
    const [file] = event.dataTransfer?.files ?? [];
    if (!file) return;
    event.preventDefault();
    onSource(file, file.name);
  });
}

/** @param {OnSource} onSource */
async function offerOurs(onSource) {
  const place = byId("ours");
  try {
    const told = await served();
    if (told.status !== "ok") {
      place.replaceChildren(element("p", { class: "hint" }, "The server is starting; its model is being loaded."));
      setTimeout(() => void offerOurs(onSource), 1500);
      return;
    }
    byId("served").textContent = `${told.model}${told.version ? ` version ${told.version}` : ""}`
      + (told.tracks ? `, ${told.tracks.toLocaleString("en")} tracks` : ", no catalogue");
    const catalogue = await servedCatalogue();
    if (!catalogue?.audible) {
      place.hidden = true;
      return;
    }
    const { tracks } = await get(`v1/samples?k=${OURS}`);
    place.replaceChildren(element("p", {}, "Or try one of ours"),
      element("div", { class: "row" }, ...tracks.map((/** @type {import("./types.d.ts").Track} */ track) => ours(track, onSource))));
  } catch (error) {
    place.replaceChildren(banner(error, () => void offerOurs(onSource)));
  }
}

/** @param {import("./types.d.ts").Track} track @param {OnSource} onSource */
function ours(track, onSource) {
  const made = button(titled(track), async () => {
    made.disabled = true;
    try {
      const clip = await getBytes(`${trackPath(track.track_id)}/clip`);
      onSource(clip, `${titled(track)}.mp3`, track.track_id);
    } catch (error) {
      byId("progress").replaceChildren(banner(error, () => made.click()));
    } finally {
      made.disabled = false;
    }
  });
  if (track.artist) made.append(element("small", {}, track.artist));
  return made;
}
