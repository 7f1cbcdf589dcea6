/** A model's requests and latency over time. */

import { messages } from "../i18n.js";
import { beforeNow } from "../logic/drift.js";
import { measured } from "../logic/format.js";
import { lineChart } from "../view/chart.js";
import { html } from "../view/dom.js";
import { card } from "../view/table.js";

export const DEFAULT_HOURS = 24;
const text = messages.monitoring.traffic;

/** @param setHours is called with how far the lines shall reach back. */
export function trafficCard({ from, points }, hours, setHours) {
  const select = html("select", { "data-key": "traffic/hours" }, ...Object.entries(text.spans).map(([value, name]) => html("option", { value, selected: Number(value) === hours }, name)));
  select.addEventListener("change", () => setHours(Number(select.value)));
  const field = html("label", { class: "field" }, text.hours, " ", select);
  if (!points.length) return card(text.title, field, html("p", { class: "remark" }, text.none));
  const lines = [line(text.requests, points, (point) => point.requests_per_second * 60), line(text.latency, points, (point) => point.p95_seconds === null ? NaN : point.p95_seconds * 1000)];
  const source = from === "prometheus" ? text.fromPrometheus : text.fromLog;
  return card(text.title, field, html("ul", { class: "curves", "data-part": "traffic" }, ...lines.filter(Boolean)), html("p", { class: "remark" }, source));
}

function line(name, points, value) {
  const { unit, points: known } = beforeNow(points, value, Date.now());
  const last = known.map(([, one]) => one).filter(Number.isFinite).at(-1);
  if (last === undefined) return null;
  const drawing = lineChart(known, { label: text.line(name, measured(last)), across: text.ago[unit], low: 0 });
  return html("li", {}, html("span", { class: "name" }, name), html("b", {}, measured(last)), drawing);
}
