/** What a training left: its curves, and how the versions compare by class. */

import { messages } from "../i18n.js";
import { compareClasses, sortCurves } from "../logic/curves.js";
import { day, figure, metric } from "../logic/format.js";
import { lineChart } from "../view/chart.js";
import { html } from "../view/dom.js";
import { card, table } from "../view/table.js";

const text = messages.models;

/**
 * @param versions the versions whose runs are known, each {version, run}; the first is the one that is shown.
 */
export function runCards(versions) {
  const [{ run }] = versions;
  const link = html("a", { class: "button small", href: run.page, target: "_blank", rel: "noreferrer" }, text.mlflow);
  const facts = html("p", { class: "remark" }, [run.name, day(run.started)].filter(Boolean).join(" · "));
  const lines = sortCurves(run.curves).map(curve).filter(Boolean);
  const drawn = lines.length ? html("ul", { class: "curves" }, ...lines) : html("p", { class: "remark" }, text.noCurves);
  return [card(text.curves, html("div", { class: "row" }, facts, link), drawn), classesCard(versions)];
}

function curve([name, points]) {
  const known = points.map(([, value]) => value).filter(Number.isFinite);
  if (!known.length) return null;
  const [first, last] = [known[0], known.at(-1)].map(figure);
  const drawing = lineChart(points, { label: text.curve(messages.curveName(name), first, last, points.length), across: text.epoch });
  return html("li", {}, html("span", { class: "name", title: name }, messages.curveName(name)), html("b", {}, last), drawing);
}

function classesCard(versions) {
  const { metric: name, rows, compared } = compareClasses(versions.map(({ version, run }) => ({ version, metrics: run.metrics })));
  if (!name) return card(text.classes(""), html("p", { class: "remark" }, text.noClasses));
  const title = text.classes(messages.metricName(name));
  const heads = [text.className, ...compared.map(messages.version)];
  return card(title, table(title, heads, rows.map(([label, ...values]) => [label, ...values.map(share)])));
}

function share(value) {
  return value === null ? null : metric(value);
}
