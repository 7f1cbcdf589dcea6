/** Where the time went: one bar in proportion, and each stage's milliseconds. */

import { messages } from "../i18n.js";
import { milliseconds } from "../logic/format.js";
import { stages } from "../logic/timings.js";
import { byPart, html } from "./dom.js";

export function createTimings() {
  const root = byPart("timings");
  let shown = null;

  return function render({ request }) {
    root.hidden = !request.prediction;
    if (!request.prediction || request.prediction === shown) return;
    shown = request.prediction;
    const parts = stages(request.prediction.timings_ms, request.roundTrip);
    byPart("timings-total").textContent = milliseconds(request.roundTrip);
    byPart("timings-bar").replaceChildren(...parts.map(slice));
    byPart("timings-list").replaceChildren(...parts.map(entry));
  };
}

function slice({ stage, share }) {
  const piece = html("span", { class: `stage-${stage}` });
  piece.style.flexGrow = share;
  return piece;
}

function entry({ stage, ms }) {
  const key = html("span", { class: `key stage-${stage}`, "aria-hidden": "true" });
  return html("div", {}, html("dt", {}, key, messages.stage[stage]), html("dd", {}, milliseconds(ms)));
}
