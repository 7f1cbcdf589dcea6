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
    return JSON.stringify(asSeen(state.run.answer, limit(state), worths(state.traits)), null, 2);
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
