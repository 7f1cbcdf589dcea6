/** What a training left: its curves, and how the versions compare by class. */

import { byClass, line, ordered } from "../logic/curves.js";
import { day, figure, metric } from "../logic/format.js";
import { html, svg } from "../view/dom.js";
import { card, table } from "../view/table.js";
import { words } from "../words.js";

const SIZE = { width: 220, height: 70 };
const own = words.models;

/**
 * @param versions the versions whose runs are known, each {version, run}; the first is the one that is shown.
 */
export function runCards(versions) {
  const [{ run }] = versions;
  const link = html("a", { class: "button small", href: run.page, target: "_blank", rel: "noreferrer" }, own.mlflow);
  const facts = html("p", { class: "remark" }, [run.name, day(run.started)].filter(Boolean).join(" · "));
  const lines = ordered(run.curves).map(curve);
  const drawn = lines.length ? html("ul", { class: "curves" }, ...lines) : html("p", { class: "remark" }, own.noCurves);
  return [card(own.curves, html("div", { class: "row" }, facts, link), drawn), classesCard(versions)];
}

function curve([name, points]) {
  const [first, last] = [points[0][1], points.at(-1)[1]].map(figure);
  const label = own.curve(name, first, last, points.length);
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": label },
    svg("polyline", { points: line(points, SIZE) }),
  );
  return html("li", {}, html("span", { class: "name" }, name), html("b", {}, last), drawing);
}

function classesCard(versions) {
  const { metric: name, rows, compared } = byClass(versions.map(({ version, run }) => ({ version, metrics: run.metrics })));
  if (!name) return card(own.classes(""), html("p", { class: "remark" }, own.noClasses));
  const title = own.classes(words.metricName(name));
  const heads = [own.className, ...compared.map(words.version)];
  return card(title, table(title, heads, rows.map(([label, ...values]) => [label, ...values.map(share)])));
}

function share(value) {
  return value === null ? null : metric(value);
}
