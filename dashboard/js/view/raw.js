/** The answer as JSON, to copy and to read. */

import { asSeen, limit, worths } from "../logic/answer.js";
import { copyOnClick } from "./clipboard.js";
import { part } from "./dom.js";

export function createRaw() {
  const root = part("raw");
  const details = part("raw-details");
  const code = part("raw-code");
  let state = null;

  copyOnClick(part("copy"), part("copy-label"), text);
  details.addEventListener("toggle", write);

  function text() {
    const { run, threshold, classes } = state;
    const chosen = run.answer.task === "detect" ? limit(run.answer, threshold) : null;
    return JSON.stringify(asSeen(run.answer, chosen, worths(classes)), null, 2);
  }

  function write() {
    if (details.open && state.run.answer) code.textContent = text();
  }

  return function render(next) {
    state = next;
    root.hidden = !state.run.answer;
    write();
  };
}
