/** Where the time went: one bar in proportion, and each stage's milliseconds. */

import { milliseconds } from "../logic/format.js";
import { stages } from "../logic/timings.js";
import { words } from "../words.js";
import { html, part } from "./dom.js";

export function createTimings() {
  const root = part("timings");
  let shown = null;

  return function render({ run }) {
    root.hidden = !run.answer;
    if (!run.answer || run.answer === shown) return;
    shown = run.answer;
    const parts = stages(run.answer.timings_ms, run.roundTrip);
    part("timings-total").textContent = milliseconds(run.roundTrip);
    part("timings-bar").replaceChildren(...parts.map(slice));
    part("timings-list").replaceChildren(...parts.map(entry));
  };
}

function slice({ stage, share }) {
  const piece = html("span", { class: `stage-${stage}` });
  piece.style.flexGrow = share;
  return piece;
}

function entry({ stage, ms }) {
  const key = html("span", { class: `key stage-${stage}`, "aria-hidden": "true" });
  return html("div", {}, html("dt", {}, key, words.stage[stage]), html("dd", {}, milliseconds(ms)));
}
