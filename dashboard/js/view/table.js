/** Tables and cards. */

import { html } from "./dom.js";

/**
 * A table that scrolls by itself where it is too wide.
 *
 * @param caption its name for screen readers.
 * @param heads the columns' names.
 * @param rows lists of cells: texts, numbers, elements or null.
 */
export function table(caption, heads, rows) {
  const head = html("tr", {}, ...heads.map((name) => html("th", { scope: "col" }, name)));
  const body = rows.map((cells) => html("tr", {}, ...cells.map((content) => html("td", {}, content ?? ""))));
  const made = html("table", { "aria-label": caption }, html("thead", {}, head), html("tbody", {}, ...body));
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption }, made);
}

/** A card with a heading. */
export function card(title, ...children) {
  return html("section", { class: "card" }, html("h2", {}, title), ...children);
}
