/** Says on the stage why there is no answer, in the server's words, and what to do. */

import { noticeOf } from "../logic/notice.js";
import { parts } from "../logic/stage.js";
import { words } from "../words.js";
import { copyOnClick } from "./clipboard.js";
import { html, icon, part } from "./dom.js";

export function createNotice(app) {
  const root = part("notice");
  const retry = part("retry");
  const label = retry.textContent;
  let said = "";
  let timer = null;

  /** Counts down on the button, then tries again by itself. */
  function countDown(seconds) {
    clearTimeout(timer);
    retry.textContent = seconds ? words.again(label, seconds) : label;
    if (!seconds) return;
    timer = setTimeout(() => (seconds > 1 ? countDown(seconds - 1) : again()), 1000);
  }

  function again() {
    countDown(0);
    // The same refusal once more is news: it has its own seconds to wait.
    said = "";
    if (root.dataset.face === "failed") app.predict();
    else app.check();
  }

  // The picture's own failure is tried again; without a picture the question is whether the server is back.
  retry.addEventListener("click", again);

  return function render(state, face) {
    const notice = noticeOf(state, face);
    root.hidden = !notice;
    root.dataset.face = face;
    const wording = JSON.stringify(notice);
    // Rewriting the same words would have a screen reader say them again at every poll.
    if (wording === said) return;
    said = wording;
    countDown(notice?.retry ? Math.ceil(notice.retryAfter ?? 0) : 0);
    if (!notice) return;
    part("notice-title").textContent = notice.title;
    part("notice-detail").replaceChildren(...parts(notice.detail).map(piece));
    part("notice-hint").textContent = [notice.hint, notice.request].filter(Boolean).join(" ");
    retry.hidden = !notice.retry;
  };
}

function piece({ text, command }) {
  if (!command) return document.createTextNode(text);
  const label = html("span", {}, words.copy);
  const button = html("button", { type: "button", class: "button small" }, icon("copy"), label);
  copyOnClick(button, label, () => command);
  return html("span", { class: "command" }, html("code", {}, command), button);
}
