/** How strongly the class activation map covers the picture, and in words where it is strongest. */

import { messages } from "../i18n.js";
import { taskOf } from "../logic/classification.js";
import { percent } from "../logic/format.js";
import { strongestPart } from "../logic/heatmap.js";
import { resolveChoice } from "../logic/registry.js";
import { byPart } from "./dom.js";

export function createMapSlider(app) {
  const root = byPart("map");
  const slider = byPart("map-slider");

  slider.addEventListener("input", () => app.setMapOpacity(slider.valueAsNumber));

  return function render({ request: { prediction }, mapOpacity, listing, choice }) {
    root.hidden = taskOf(prediction, resolveChoice(listing, choice).model) !== "classify";
    const explanation = prediction?.explanation ?? null;
    slider.disabled = !explanation;
    if (slider.valueAsNumber !== mapOpacity) slider.value = mapOpacity;
    slider.setAttribute("aria-valuetext", percent(mapOpacity));
    byPart("map-value").textContent = explanation ? percent(mapOpacity) : "–";
    byPart("map-says").textContent = prediction ? mapWords(explanation, prediction.image) : messages.map.none;
  };
}

/** What the map shows, for those who do not see it: "Strongest for rust in the upper left." */
export function mapWords(explanation, image) {
  if (!explanation) return messages.map.unknown;
  const part = strongestPart(explanation, image);
  const words = part ? messages.map.strongest(explanation.name, messages.map.parts[part.row][part.column]) : messages.map.nowhere(explanation.name);
  return explanation.exact ? words : `${words} ${messages.map.inexact}`;
}
