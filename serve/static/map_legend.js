// The legend of the map: a button shows one group alone.

import { element, say } from "./dom.js";
import { colourOf } from "./map_groups.js";
import { trace } from "./map_plot.js";

/** @param {HTMLElement} list @param {import("./map_plot.js").Plot} plot */
export function drawLegend(list, plot) {
  list.replaceChildren();
  plot.groups.marks.forEach((mark, index) => {
    if (!mark.count) return; // such as others, where there are none
    const icon = element("canvas", { width: 28, height: 28, "aria-hidden": "true" });
    const context = icon.getContext("2d");
    if (context) {
      context.fillStyle = colourOf(mark);
      context.beginPath();
      trace(context, mark.form, 14, 14, 11);
      context.fill();
    }
    const made = element("button", { type: "button", class: "small", "aria-pressed": "false" }, icon,
      element("span", {}, mark.name), element("small", {}, mark.count.toLocaleString("en")));
    made.addEventListener("click", () => {
      plot.alone = plot.alone === index ? -1 : index;
      for (const other of list.querySelectorAll("button")) other.setAttribute("aria-pressed", String(other === made && plot.alone === index));
      say(plot.alone < 0 ? "All groups" : `${mark.name} alone: ${mark.count}`);
      plot.redraw();
    });
    list.append(element("li", {}, made));
  });
}
