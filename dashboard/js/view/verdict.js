/** The answer in one large word, and what it is made of. */

import { verdictOf } from "../logic/verdict.js";
import { faceOf } from "../logic/stage.js";
import { words } from "../words.js";
import { part } from "./dom.js";

/** A moving slider changes the count many times a second; a screen reader hears where it came to rest. */
const QUIET_FOR = 600;

export function createVerdict() {
  const root = part("verdict");
  let timer = null;

  function announce(text) {
    clearTimeout(timer);
    timer = setTimeout(() => (part("announcement").textContent = text), QUIET_FOR);
  }

  return function render(state) {
    const verdict = verdictOf(state);
    const face = faceOf(state);
    const detail = verdict.detail ?? words.noVerdict[face] ?? words.noVerdict.empty;
    part("verdict-label").textContent = verdict.label;
    part("verdict-value").textContent = verdict.value ?? "–";
    part("verdict-sum").textContent = verdict.sum ?? "";
    part("verdict-detail").textContent = detail;
    root.classList.toggle("blank", verdict.value === null);
    root.classList.toggle("wordy", verdict.wordy);
    if (face === "answer") announce(words.announce(verdict.label, verdict.value, detail));
  };
}
