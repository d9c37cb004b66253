// Begins the page, and shows one view at a time.

import { byId } from "./dom.js";
import { clear, listen } from "./listen.js";
import { watchSources } from "./sources.js";
import { watchTokens } from "./token.js";

const VIEWS = ["listen", "map", "path"];
const TITLES = /** @type {Record<string, string>} */ ({ listen: "Tonearm", map: "Map – Tonearm", path: "Path – Tonearm" });

/** @type {Record<string, () => Promise<{ show: (place: HTMLElement) => void }>>} */
const LATER = { map: () => import("./map.js"), path: () => import("./path.js") };

function showView() {
  const wanted = location.hash.slice(1), view = VIEWS.includes(wanted) ? wanted : "listen";
  for (const name of VIEWS) byId(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = TITLES[view];
  if (view in LATER) void LATER[view]().then((module) => module.show(byId(`${view}-body`)));
}

watchTokens();
watchSources((file, name, sample) => void listen(file, name, sample));
addEventListener("hashchange", () => {
  if (location.hash === "#main") return; // the link that skips to the content
  showView();
  scrollTo(0, 0);
});
addEventListener("pagehide", (event) => {
  if (!event.persisted) clear();
});
showView();
