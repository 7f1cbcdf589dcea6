/** The confidence slider, with a tick for every box that it lets through or holds back. */

import { ASKED_CONFIDENCE, limit } from "../logic/answer.js";
import { percent } from "../logic/format.js";
import { hue, part, svg } from "./dom.js";

export function createThreshold(app) {
  const root = part("threshold");
  const slider = part("slider");
  const reset = part("threshold-reset");
  const ticks = part("ticks");
  let answer = null;

  slider.min = ASKED_CONFIDENCE;
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
    const usable = state.run.answer?.task === "detect" ? state.run.answer : null;
    root.hidden = state.run.answer !== null && !usable;
    slider.disabled = !usable;
    if (usable !== answer) ticks.replaceChildren(...(usable?.detections ?? []).map(tick));
    answer = usable;
    const value = usable ? limit(state) : slider.valueAsNumber;
    // Only a value of another source is written: writing while it is dragged would make it jump to its step.
    if (slider.valueAsNumber !== value) slider.value = value;
    slider.setAttribute("aria-valuetext", percent(value));
    part("threshold-value").textContent = usable ? percent(value) : "–";
    reset.hidden = !usable || value === limit({ ...state, threshold: null });
    for (const line of ticks.children) {
      line.classList.toggle("held-back", !(Number(line.dataset.confidence) > value));
      line.classList.toggle("active", line.dataset.id === String(state.pointed ?? state.held));
    }
  };
}
