// Asks for a token, where the server wants one.

import { onTokenWanted } from "./api.js";
import { byId, element } from "./dom.js";

/** @type {Promise<string> | null} */
let asking = null; // several requests may want it at once

/** Let the page ask when it must. */
export function watchTokens() {
  onTokenWanted((reason) => {
    asking ??= ask(reason.code === "wrong_token" ? "Nobody has this token. Give another one." : "This server asks for a token.");
    return asking.finally(() => { asking = null; });
  });
}

/**
 * @param {string} text
 * @returns {Promise<string>}
 */
function ask(text) {
  return new Promise((resolve) => {
    const input = element("input", { type: "password", id: "token", autocomplete: "off", required: true });
    const form = element("form", { class: "card token", "aria-label": "Token" },
      element("p", {}, text, " Who runs it makes one: ", element("code", {}, "tonearm serve --new-token NAME")),
      element("div", { class: "row" }, element("label", { for: "token" }, "Token"), input,
        element("button", { type: "submit", class: "main" }, "Use it")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      form.remove();
      resolve(input.value.trim());
    });
    byId("main").prepend(form);
    input.focus();
  });
}
