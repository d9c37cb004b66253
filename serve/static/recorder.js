// Recording by the microphone, in what the browser makes: WebM with Opus, or MP4.

import { byId, say } from "./dom.js";
import { clock } from "./words.js";

const KINDS = [["audio/webm;codecs=opus", "webm"], ["audio/ogg;codecs=opus", "ogg"], ["audio/mp4", "m4a"]];
const LONGEST = 60; // seconds: more than models listen to

/** @param {HTMLElement} button @param {import("./sources.js").OnSource} onSource */
export function recordButton(button, onSource) {
  const kind = globalThis.MediaRecorder && navigator.mediaDevices ? KINDS.find(([type]) => MediaRecorder.isTypeSupported(type)) : undefined;
  if (!kind) {
    button.hidden = true; // browsers give a microphone to this machine's pages, and to those by https
    return;
  }
  const [type, suffix] = kind;
  /** @type {MediaRecorder | null} */
  let recorder = null;
  button.addEventListener("click", async () => {
    if (recorder) return recorder.stop();
    button.setAttribute("aria-pressed", "true");
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: false, noiseSuppression: false, autoGainControl: false } });
      recorder = record(stream, type, button, (file) => {
        recorder = null;
        if (file.size) onSource(file, `recording.${suffix}`);
      });
    } catch (error) {
      button.setAttribute("aria-pressed", "false");
      const refused = error instanceof DOMException && error.name === "NotAllowedError";
      const text = refused ? "This page may not use the microphone: allow it in the browser's settings of this page, or choose a file."
        : "No microphone was found: connect one, or choose a file.";
      byId("formats").textContent = text;
      say(text);
    }
  });
}

/**
 * @param {MediaStream} stream
 * @param {string} type
 * @param {HTMLElement} button
 * @param {(file: Blob) => void} onDone
 */
function record(stream, type, button, onDone) {
  const recorder = new MediaRecorder(stream, { mimeType: type, audioBitsPerSecond: 128_000 });
  /** @type {Blob[]} */
  const parts = [];
  const began = Date.now();
  const show = () => {
    const seconds = (Date.now() - began) / 1000;
    button.textContent = `Stop and listen (${clock(seconds)})`;
    if (seconds >= LONGEST) recorder.stop();
  };
  const timer = setInterval(show, 250);
  recorder.ondataavailable = (event) => parts.push(event.data);
  recorder.onstop = () => {
    clearInterval(timer);
    for (const track of stream.getTracks()) track.stop();
    button.textContent = "Record";
    button.classList.remove("recording");
    button.setAttribute("aria-pressed", "false");
    onDone(new Blob(parts, { type: type.split(";")[0] }));
  };
  recorder.start();
  button.classList.add("recording");
  say("Recording. Press again to stop and to hear what it is.");
  show();
  return recorder;
}
