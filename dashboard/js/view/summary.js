/** The prediction in one large word, and what it is made of. */

import { messages } from "../i18n.js";
import { viewState } from "../logic/stage.js";
import { summaryOf } from "../logic/summary.js";
import { trustMarks } from "./class_list.js";
import { byPart } from "./dom.js";

/** A moving slider changes the count many times a second; a screen reader hears where it came to rest. */
const QUIET_FOR = 600;

export function createSummary() {
  const root = byPart("verdict");
  let timer = null;
  let judgedPrediction = null;

  function announce(text) {
    clearTimeout(timer);
    timer = setTimeout(() => (byPart("announcement").textContent = text), QUIET_FOR);
  }

  /** The marks change only with the prediction. */
  function showTrust({ prediction }) {
    if (prediction === judgedPrediction) return;
    judgedPrediction = prediction;
    byPart("verdict-trust").replaceChildren(...(prediction?.task === "classify" ? trustMarks(prediction) : []));
  }

  return function render(state) {
    const verdict = summaryOf(state);
    const view = viewState(state);
    const detail = verdict.detail ?? messages.noVerdict[view] ?? messages.noVerdict.empty;
    byPart("verdict-label").textContent = verdict.label;
    byPart("verdict-value").textContent = verdict.value ?? "–";
    byPart("verdict-sum").textContent = verdict.sum ?? "";
    byPart("verdict-detail").textContent = detail;
    root.classList.toggle("blank", verdict.value === null);
    byPart("verdict-hint").textContent = verdict.hint ?? "";
    showTrust(state.request);
    root.classList.toggle("wordy", verdict.wordy);
    root.classList.toggle("doubtful", verdict.doubtful ?? false);
    if (view === "answer") announce([messages.announce(verdict.label, verdict.value, detail), verdict.hint].filter(Boolean).join(". "));
  };
}
