/** The server's state in the header, which it polls. */

import { statusOf } from "../logic/stage.js";
import { byPart } from "./dom.js";

const POLL_READY = 20_000;
const POLL_OTHERWISE = 4_000;

export function createStatus(app) {
  const root = byPart("status");
  const text = byPart("status-text");
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
    // A prediction may notice first that the server is gone: from then on it is polled more often.
    const changed = state !== null && next.server.state !== state.server.state;
    state = next;
    if (changed) wait();
    const status = statusOf(state);
    root.dataset.state = status.state;
    if (text.textContent !== status.text) text.textContent = status.text;
  };
}
