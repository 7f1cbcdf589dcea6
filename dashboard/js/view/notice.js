/** Shows on the stage why there is no prediction, in the server's words, and what to do. */

import { messages } from "../i18n.js";
import { noticeOf, splitCommands } from "../logic/stage.js";
import { copyOnClick } from "./clipboard.js";
import { byPart, html, icon } from "./dom.js";

export function createNotice(app) {
  const root = byPart("notice");
  const retry = byPart("retry");
  const label = retry.textContent;
  let said = "";
  let timer = null;

  /** Counts down on the button, then tries again by itself. */
  function countDown(seconds) {
    clearTimeout(timer);
    retry.textContent = seconds ? messages.again(label, seconds) : label;
    if (!seconds) return;
    timer = setTimeout(() => (seconds > 1 ? countDown(seconds - 1) : again()), 1000);
  }

  function again() {
    countDown(0);
    // The same refusal once more is news: it brings its own seconds to wait.
    said = "";
    if (root.dataset.face === "failed") app.predict();
    else app.check();
  }

  // With a picture, its request is repeated; without one, the server is checked.
  retry.addEventListener("click", again);

  return function render(state, view) {
    const notice = noticeOf(state, view);
    root.hidden = !notice;
    root.dataset.face = view;
    const wording = JSON.stringify(notice);
    // Rewriting the same words would have a screen reader say them again at every poll.
    if (wording === said) return;
    said = wording;
    countDown(notice?.retry ? Math.ceil(notice.retryAfter ?? 0) : 0);
    if (!notice) return;
    byPart("notice-title").textContent = notice.title;
    byPart("notice-detail").replaceChildren(...splitCommands(notice.detail).map(piece));
    byPart("notice-hint").textContent = [notice.hint, notice.request].filter(Boolean).join(" ");
    retry.hidden = !notice.retry;
  };
}

function piece({ text, command }) {
  if (!command) return document.createTextNode(text);
  const label = html("span", {}, messages.copy);
  const button = html("button", { type: "button", class: "button small" }, icon("copy"), label);
  copyOnClick(button, label, () => command);
  return html("span", { class: "command" }, html("code", {}, command), button);
}
