// Numbers, times and answers in words.

/** @typedef {import("./types.d.ts").Answer} Answer */
/** @typedef {import("./types.d.ts").Track} Track */

/** @param {number} seconds */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds + 1e-6));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, "0")}`;
}

/** @param {number} share 0..1 */
export const percent = (share) => (share > 0 && share < 0.005 ? "under 1 %" : `${Math.round(100 * share)} %`);

/** @param {string} name such as "onset_rate" */
export const plain = (name) => name.replaceAll("_", " ");

/** @param {string} text */
export const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

/** @param {number} value */
export function amount(value) {
  const size = Math.abs(value);
  return value.toFixed(size >= 20 ? 0 : size >= 1 ? 1 : 2);
}

/** @param {number} bytes */
export const bytes = (bytes) => (bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`);

/** @param {number} place from 1 */
export function ordinal(place) {
  const tens = place % 100, ending = tens > 10 && tens < 14 ? "th" : ["th", "st", "nd", "rd"][place % 10] || "th";
  return `${place}${ending}`;
}

/**
 * Words for less and more of an attribute.
 * @param {{ name: string, less: string, more: string }} attribute
 * @returns {[string, string]}
 */
export function sides({ name, less, more }) {
  if (less && more) return [less, more];
  if (name === "key_strength") return ["vaguer in key", "clearer in key"];
  if (name === "dynamic_range") return ["steadier", "more varied in loudness"];
  return [`less ${plain(name)}`, `more ${plain(name)}`];
}

/**
 * How sure an answer is.
 * @param {number} probability that it is right
 */
export function sureness(probability) {
  if (probability >= 0.9) return "very sure";
  if (probability >= 0.7) return "fairly sure";
  if (probability >= 0.5) return "rather unsure";
  return "no more than a guess";
}

/**
 * An answer in a few words, and what stands below it.
 * @param {Answer} answer
 * @returns {{ title: string, detail: string }}
 */
export function inWords(answer) {
  const why = answer.why ? capital(answer.why) : "";
  if (answer.task === "single_label" && answer.label !== undefined) {
    const sure = answer.sure ?? answer.probabilities?.[0]?.probability ?? 0;
    return { title: `${capital(answer.label)}, ${answer.doubt ? "if anything" : sureness(sure)}`, detail: why };
  }
  if (answer.task === "multi_label") {
    const labels = answer.labels ?? [];
    return { title: labels.length ? capital(labels.join(", ")) : "None of the labels fits", detail: why };
  }
  if (answer.task === "playlists" && answer.playlists?.length) {
    const [best] = answer.playlists;
    const how = best.fitness >= 0.7 ? "Fits" : best.fitness >= 0.4 ? "May fit" : "Fits no playlist; nearest is";
    return { title: `${how} ${best.playlist}`, detail: why };
  }
  if (answer.task === "regression") {
    const values = (answer.values ?? []).map((v) => `${plain(v.name)} ${amount(v.value)}${v.unit ? ` ${v.unit}` : ""}`);
    return { title: capital(values.join(", ")), detail: why };
  }
  return { title: "Heard, and placed beside the catalogue", detail: answer.target ? `Its place among ${answer.target}` : "" };
}

/**
 * The bars of an answer, the greatest first.
 * @param {Answer} answer
 * @returns {{ name: string, value: number }[]}
 */
export function bars(answer) {
  if (answer.playlists) return answer.playlists.map((p) => ({ name: p.playlist, value: p.fitness }));
  return (answer.probabilities ?? []).map((p) => ({ name: p.label, value: p.probability }));
}

/**
 * What a track is called.
 * @param {Track} track
 */
export const titled = (track) => track.title || track.track_id;

/**
 * Artist, label and year of a track, as far as they are known.
 * @param {Track} track
 */
export const credits = (track) => [track.artist, track.label, track.year].filter((part) => part !== null && part !== undefined && part !== "").join(" · ");
