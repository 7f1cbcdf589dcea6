/** A classifier's answer as parts of the page, for the list beside the picture, for Live and for comparing. */

import { messages } from "../i18n.js";
import { trustOf } from "../logic/classification.js";
import { percent } from "../logic/format.js";
import { html, hue, icon } from "./dom.js";

/** One class with its bar; a mark says that it is in the prediction set. */
export function classRow({ class: kind, name, probability, inSet }) {
  const mark = inSet ? html("span", { class: "in-set" }, icon("check"), html("span", { class: "visually-hidden" }, `, ${messages.inSet}`)) : null;
  return html(
    "li",
    { class: `finding ${hue(kind)}` },
    swatch(),
    html("span", { class: "name" }, html("span", { title: name }, name), mark),
    bar(probability),
    html("span", { class: "share" }, percent(probability)),
  );
}

/** Whether to trust the answer: is it certain, and is the picture like those of the training? */
export function trustMarks(prediction) {
  return trustOf(prediction).map(({ kind, level }) =>
    html("li", { class: `trust ${level}`, "data-trust": kind }, icon(level === "good" ? "check" : "notice"), messages.trust[kind][level]),
  );
}

export function swatch() {
  return html("span", { class: "swatch", "aria-hidden": "true" });
}

/** The width is set through the element's style object, which a strict content policy allows. */
export function bar(share) {
  const filled = html("span", {});
  filled.style.width = `${share * 100}%`;
  return html("span", { class: "meter", "aria-hidden": "true" }, filled);
}
