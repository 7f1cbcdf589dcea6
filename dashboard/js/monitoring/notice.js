/** What keeps the monitor from saying more, and what to do about it. */

import { messages } from "../i18n.js";
import { moment } from "../logic/format.js";
import { copyOnClick } from "../view/clipboard.js";
import { html, icon } from "../view/dom.js";

const text = messages.monitoring.notices;
const COMMANDS = {
  absent: ["docker compose --profile monitoring up --wait", "handful monitor watch --port 8002"],
  empty: ['curl -F image=@photo.jpg "http://127.0.0.1:8000/predict?source=camera-1"'],
};

/** The notice that an answer of the monitor calls for, or null. */
export function noticeName({ verdicts, gathering, last_round: lastRound, mlflow_up: mlflowUp, stale_since: staleSince }) {
  if (!lastRound) return "starting";
  if (mlflowUp === false) return "away";
  if (staleSince) return "failed";
  return verdicts.length || gathering.length ? null : "empty";
}

/** @param told the monitor's answer, for the notices that say since when it is old. */
export function noticeCard(name, told) {
  if (!name) return null;
  const { title, detail } = text[name];
  const since = moment(told?.stale_since);
  const words = { away: () => detail(since), failed: () => detail(told.failure, since) }[name]?.() ?? detail;
  return html(
    "section",
    { class: `card notice-card ${name}`, "data-notice": name, role: "status" },
    icon("notice"),
    html("div", {}, html("h2", {}, title), html("p", {}, words), ...(COMMANDS[name] ?? []).map(command)),
  );
}

function command(line) {
  const label = html("span", {}, messages.copy);
  const button = html("button", { type: "button", class: "button small" }, icon("copy"), label);
  copyOnClick(button, label, () => line);
  return html("p", { class: "command" }, html("code", {}, line), button);
}
