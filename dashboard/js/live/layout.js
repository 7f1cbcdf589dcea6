/** The elements of Live. */

import { messages } from "../i18n.js";
import { MIN_CONFIDENCE } from "../logic/prediction.js";
import { html, svg } from "../view/dom.js";

const text = messages.live;
const FIGURES = ["count", "rate", "latency", "inference", "answered", "dropped"];

/** Builds it into `root`; its parts by name. */
export function buildLayout(root) {
  const parts = {
    start: html("button", { type: "button", class: "button primary", "data-part": "live-start" }, text.start),
    model: html("select", { "data-part": "live-model" }),
    slider: html("input", {
      type: "range",
      min: MIN_CONFIDENCE,
      max: 1,
      step: 0.01,
      value: 0.25,
      "data-part": "live-slider",
    }),
    threshold: html("output", { "data-part": "live-threshold" }),
    video: html("video", { muted: true, playsinline: true, "aria-label": text.picture }),
    map: html("input", { type: "range", min: 0, max: 1, step: 0.05, value: 0, "data-part": "live-map" }),
    mapValue: html("output", { "data-part": "live-map-value" }),
    classMap: html("canvas", { class: "class-map", "aria-hidden": "true", hidden: true }),
    trust: html("ul", { class: "trusts", "data-part": "live-trust" }),
    classes: html("ul", { class: "class-list", "data-part": "live-classes" }),
    overlay: svg("svg", { class: "overlay", "aria-hidden": "true" }),
    says: html("p", { class: "says", role: "status", "data-part": "live-says" }),
    figures: Object.fromEntries(FIGURES.map((name) => [name, html("dd", { "data-part": `live-${name}` }, text.none)])),
  };
  // The property, not the attribute: a video that plays by itself has to be muted before it starts.
  parts.video.muted = true;
  parts.frame = html("div", { class: "live-picture", "data-part": "live-picture" }, parts.video, parts.classMap, parts.overlay);
  parts.boxesField = html("label", { class: "field" }, text.confidence, parts.slider, parts.threshold);
  parts.mapField = html("label", { class: "field", hidden: true }, text.map, parts.map, parts.mapValue);
  parts.classCard = html("section", { class: "card live-classes", "aria-label": text.classes, hidden: true }, parts.trust, parts.classes);
  parts.countName = html("dt", {}, text.figures.count);
  root.replaceChildren(
    html("h1", { class: "title", tabindex: -1 }, text.title),
    html("p", { class: "lead" }, text.lead),
    html(
      "div",
      { class: "row live-bar" },
      parts.start,
      html("label", { class: "field" }, text.model, parts.model),
      parts.boxesField,
      parts.mapField,
    ),
    parts.says,
    html("div", { class: "live-frame" }, parts.frame),
    parts.classCard,
    html("dl", { class: "figures card" }, ...FIGURES.map((name) => figure(name, parts))),
  );
  return parts;
}

function figure(name, { figures, countName }) {
  return html("div", {}, name === "count" ? countName : html("dt", {}, text.figures[name]), figures[name]);
}
