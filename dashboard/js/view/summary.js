/** The prediction in one large word, and what it is made of. */

import { messages } from "../i18n.js";
import { viewState } from "../logic/stage.js";
import { summaryOf } from "../logic/summary.js";
import { byPart } from "./dom.js";

/** A moving slider changes the count many times a second; a screen reader hears where it came to rest. */
const QUIET_FOR = 600;

export function createSummary() {
  const root = byPart("verdict");
  let timer = null;

  function announce(text) {
    clearTimeout(timer);
    timer = setTimeout(() => (byPart("announcement").textContent = text), QUIET_FOR);
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
    root.classList.toggle("wordy", verdict.wordy);
    if (view === "answer") announce(messages.announce(verdict.label, verdict.value, detail));
  };
}
