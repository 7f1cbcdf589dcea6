/** The confidence slider, with a tick for every box that it lets through or holds back. */

import { taskOf } from "../logic/classification.js";
import { percent } from "../logic/format.js";
import { effectiveThreshold, MIN_CONFIDENCE } from "../logic/prediction.js";
import { resolveChoice } from "../logic/registry.js";
import { byPart, hue, svg } from "./dom.js";

export function createThreshold(app) {
  const root = byPart("threshold");
  const slider = byPart("slider");
  const reset = byPart("threshold-reset");
  const ticks = byPart("ticks");
  let prediction = null;

  slider.min = MIN_CONFIDENCE;
  slider.addEventListener("input", () => app.setThreshold(slider.valueAsNumber));
  reset.addEventListener("click", () => {
    app.setThreshold(null);
    slider.focus();
  });

  /** Where a confidence lies along the slider, in percent of its length. */
  const along = (confidence) => `${((confidence - slider.min) / (slider.max - slider.min)) * 100}%`;

  function tick({ id, class: kind, confidence }) {
    const x = along(confidence);
    return svg("line", { class: hue(kind), "data-id": id, "data-confidence": confidence, x1: x, x2: x, y1: 0, y2: "100%" });
  }

  return function render(state) {
    const usable = state.request.prediction?.task === "detect" ? state.request.prediction : null;
    root.hidden = taskOf(state.request.prediction, resolveChoice(state.listing, state.choice).model) !== "detect";
    slider.disabled = !usable;
    if (usable !== prediction) ticks.replaceChildren(...(usable?.detections ?? []).map(tick));
    prediction = usable;
    const value = usable ? effectiveThreshold(state) : slider.valueAsNumber;
    // Only a value of another source is written: writing while it is dragged would make it jump to its step.
    if (slider.valueAsNumber !== value) slider.value = value;
    slider.setAttribute("aria-valuetext", percent(value));
    byPart("threshold-value").textContent = usable ? percent(value) : "–";
    reset.hidden = !usable || value === effectiveThreshold({ ...state, threshold: null });
    for (const line of ticks.children) {
      line.classList.toggle("held-back", !(Number(line.dataset.confidence) > value));
      line.classList.toggle("active", line.dataset.id === String(state.hovered ?? state.selected));
    }
  };
}
