/** What a training left: its curves, and how the versions compare by class. */

import { messages } from "../i18n.js";
import { compareClasses, plot, sortCurves } from "../logic/curves.js";
import { day, figure, metric, tick } from "../logic/format.js";
import { html, svg } from "../view/dom.js";
import { card, table } from "../view/table.js";

/** The drawing, and in it the plot: the ticks' labels lie left of it and below. */
const SIZE = { width: 280, height: 150 };
const PLOT = { left: 58, top: 8, width: 208, height: 104 };
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
  const drawn = plot(points, PLOT);
  if (!drawn) return null;
  const known = points.map(([, value]) => value).filter(Number.isFinite);
  const [first, last] = [known[0], known.at(-1)].map(figure);
  const label = text.curve(messages.curveName(name), first, last, points.length);
  const drawing = svg(
    "svg",
    { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": label },
    svg("g", { transform: `translate(${PLOT.left} ${PLOT.top})` }, ...axes(drawn), svg("polyline", { points: drawn.line })),
  );
  return html("li", {}, html("span", { class: "name", title: name }, messages.curveName(name)), html("b", {}, last), drawing);
}

/** Ticks with their labels, a line across for each value, and what the steps are. */
function axes({ x, y }) {
  const { width, height } = PLOT;
  const values = y.flatMap(({ at, value }) => [
    svg("line", { class: "grid", x1: 0, x2: width, y1: at, y2: at }),
    svg("text", { class: "y", x: -7, y: at, dy: "0.35em", "text-anchor": "end" }, tick(value)),
  ]);
  const steps = x.flatMap(({ at, value }) => [
    svg("line", { class: "axis", x1: at, x2: at, y1: height, y2: height + 4 }),
    svg("text", { class: "x", x: at, y: height + 17, "text-anchor": "middle" }, tick(value)),
  ]);
  const name = svg("text", { class: "of", x: width / 2, y: height + 34, "text-anchor": "middle" }, text.epoch);
  return [...values, svg("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }), ...steps, name];
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
