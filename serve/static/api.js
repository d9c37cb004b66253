// Asking the server. What fails becomes a Problem, which says what to do.

import { ofBrowser, ofTab } from "./kept.js";

const BASE = new URL("../", import.meta.url); // these files lie in page/
const TOKEN = "tonearm token"; // in this tab's memory alone
/** Where the listener's random id is kept, if this browser has one. */
export const LISTENER = "tonearm listener";
const MAY_COME_BACK = [0, 408, 429, 500, 502, 503, 504];

export class Problem extends Error {
  /**
   * @param {number} status of HTTP; 0: the server was not reached
   * @param {string} code
   * @param {string} detail
   * @param {number} [wait] seconds after which to try again
   */
  constructor(status, code, detail, wait = 0) {
    super(detail);
    this.status = status;
    this.code = code;
    this.wait = wait;
  }

  /** Whether the same may be answered later. */
  get mayComeBack() {
    return MAY_COME_BACK.includes(this.status);
  }
}

/** @type {(reason: Problem) => Promise<string>} */
let askForToken = async () => "";

/**
 * Set who asks the user for a token, where the server wants one.
 * @param {(reason: Problem) => Promise<string>} ask
 */
export function onTokenWanted(ask) {
  askForToken = ask;
}

/** @param {string} path within the server */
export const address = (path) => new URL(path, BASE).href;

/** The origin and prefix of the server. */
export const server = BASE.href.replace(/\/$/, "");

/** Headers of who asks. @returns {Record<string, string>} */
function headers() {
  const token = ofTab.getItem(TOKEN), listener = ofBrowser.getItem(LISTENER);
  return {
    ...(token ? { Authorization: `Bearer ${token}` } : {}),
    ...(listener ? { "Tonearm-Listener": listener } : {}), // the same one always gets the same arm of an experiment
  };
}

/** Whether a token was given. */
export const hasToken = () => ofTab.getItem(TOKEN) !== null;

const unreached = () => new Problem(0, "unreached", "The server was not reached. See that it runs and that this device is connected, then try again.");

/**
 * @param {number} status
 * @param {string} text
 * @param {string | null} retryAfter
 */
function problemOf(status, text, retryAfter) {
  try {
    const told = JSON.parse(text);
    return new Problem(status, String(told.error ?? ""), String(told.detail ?? text), Number(retryAfter) || 0);
  } catch {
    return new Problem(status, "unknown", `the server answered ${status}: try again, or look into its log`, Number(retryAfter) || 0);
  }
}

/**
 * @param {string} path
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
async function ask(path, options = {}) {
  /** @type {Response} */
  let response;
  try {
    response = await fetch(address(path), { ...options, headers: { ...headers(), ...options.headers } });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    throw unreached();
  }
  if (response.ok) return response;
  const problem = problemOf(response.status, await response.text(), response.headers.get("Retry-After"));
  if (await gotToken(problem)) return ask(path, options);
  throw problem;
}

/** @param {Problem} problem */
async function gotToken(problem) {
  if (problem.status !== 401) return false;
  const token = await askForToken(problem);
  if (token) ofTab.setItem(TOKEN, token);
  return token !== "";
}

/**
 * A JSON answer.
 * @param {string} path
 * @param {AbortSignal} [signal]
 * @returns {Promise<any>}
 */
export const get = async (path, signal) => (await ask(path, { signal })).json();

/** The header in which an answer says the id of its request, by which feedback names it. */
const REQUEST_ID = "X-Request-ID";

/**
 * The JSON answer to a JSON question, with the id of the request.
 * @param {string} path
 * @param {unknown} question
 * @param {{ signal?: AbortSignal, keepalive?: boolean }} [options] keepalive: it is sent even if the page is left meanwhile; 64 KiB at most
 * @returns {Promise<any>}
 */
export async function post(path, question, options = {}) {
  const response = await ask(path, { method: "POST", body: JSON.stringify(question), headers: { "Content-Type": "application/json" }, ...options });
  return { ...(await response.json()), request_id: response.headers.get(REQUEST_ID) };
}

/** Delete something. @param {string} path @returns {Promise<Response>} */
export const erase = (path) => ask(path, { method: "DELETE" });

/**
 * Bytes, such as a clip.
 * @param {string} path
 * @returns {Promise<Blob>}
 */
export const getBytes = async (path) => (await ask(path)).blob();

/**
 * Send a form and tell how much of it has gone; the JSON answer, with the id of the request.
 * @param {string} path
 * @param {FormData} form
 * @param {AbortSignal} signal
 * @param {(share: number) => void} [onSent] 0..1
 * @returns {Promise<any>}
 */
export async function upload(path, form, signal, onSent = () => {}) {
  const { status, text, retryAfter, requestId } = await send(path, form, signal, onSent);
  if (status >= 200 && status < 300) return { ...JSON.parse(text), request_id: requestId };
  const problem = problemOf(status, text, retryAfter);
  if (await gotToken(problem)) return upload(path, form, signal, onSent);
  throw problem;
}

/**
 * fetch does not tell how much has gone, XMLHttpRequest does.
 * @param {string} path
 * @param {FormData} form
 * @param {AbortSignal} signal
 * @param {(share: number) => void} onSent
 * @returns {Promise<{ status: number, text: string, retryAfter: string | null, requestId: string | null }>}
 */
function send(path, form, signal, onSent) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const stop = () => request.abort();
    request.open("POST", address(path));
    for (const [name, value] of Object.entries(headers())) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onSent(event.total ? event.loaded / event.total : 0);
    request.upload.onload = () => onSent(1);
    request.onload = () => resolve({ status: request.status, text: request.responseText,
      retryAfter: request.getResponseHeader("Retry-After"), requestId: request.getResponseHeader(REQUEST_ID) });
    request.onerror = () => reject(unreached());
    request.onabort = () => reject(new DOMException("cancelled", "AbortError"));
    request.onloadend = () => signal.removeEventListener("abort", stop);
    if (signal.aborted) return reject(new DOMException("cancelled", "AbortError"));
    signal.addEventListener("abort", stop);
    request.send(form);
  });
}

/** @param {string} id of a track */
export const trackPath = (id) => `v1/tracks/${id.split("/").map(encodeURIComponent).join("/")}`;
