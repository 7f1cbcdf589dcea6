/** The header's word on the server. */

import { statusOf } from "../logic/notice.js";
import { part } from "./dom.js";

const POLL_READY = 20_000;
const POLL_OTHERWISE = 4_000;

export function createStatus(app) {
  const root = part("status");
  const text = part("status-text");
  let timer = null;
  let state = null;

  async function poll() {
    clearTimeout(timer);
    if (document.hidden) return;
    await app.check();
    wait();
  }

  function wait() {
    clearTimeout(timer);
    timer = setTimeout(poll, state.server.state === "ready" ? POLL_READY : POLL_OTHERWISE);
  }

  document.addEventListener("visibilitychange", poll);
  poll();

  return function render(next) {
    // A lost server may show in a prediction first: from then on it is asked more often.
    const changed = state !== null && next.server.state !== state.server.state;
    state = next;
    if (changed) wait();
    const status = statusOf(state);
    root.dataset.state = status.state;
    if (text.textContent !== status.text) text.textContent = status.text;
  };
}
