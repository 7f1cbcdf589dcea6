/** Features then and now, side by side: those that changed first. */

import { messages } from "../i18n.js";
import { histogramColumns, sortFeatures, wordParts } from "../logic/drift.js";
import { measured, percent } from "../logic/format.js";
import { html, svg } from "../view/dom.js";
import { card } from "../view/table.js";

const SIZE = { width: 280, height: 84 };
/** Rows without a value are told of where their part has moved by so much. */
const LEAST_MISSING = 0.02;
const text = messages.monitoring.features;
const { name: nameOf, says } = messages.monitoring;

export function featuresCard({ verdict }) {
  if (!verdict) return null;
  const { changed, once, same } = sortFeatures(verdict);
  if (!verdict.features.length) return card(text.title, html("p", { class: "remark" }, text.noComparison));
  const first = [...changed, ...once];
  const rest = html("summary", { "data-key": "features/same" }, text.same(same.length));
  return card(
    text.title,
    legend(),
    first.length ? html("ul", { class: "features", "data-part": "features" }, ...first.map(figure)) : null,
    same.length ? html("details", { class: "same" }, rest, html("ul", { class: "features" }, ...same.map(figure))) : null,
  );
}

function legend() {
  const entry = (side) => html("span", {}, html("span", { class: `swatch ${side}` }), text[side]);
  return html("p", { class: "legend", "aria-hidden": "true" }, entry("then"), entry("now"));
}

function figure(feature) {
  const { name, kind, changed, differs } = feature;
  const drawing = kind === "category" ? words(feature) : numbers(feature);
  const state = changed ? "changed" : differs ? "once" : "same";
  return html(
    "li",
    { class: `feature ${state}`, "data-feature": name },
    html("h3", {}, nameOf(name)),
    differs ? html("p", { class: "feature-says" }, says(feature)) : null,
    drawing,
  );
}

function numbers(feature) {
  const { name, then, now, histogram } = feature;
  const [before, after] = [value(then), value(now)];
  const [gone, goes] = [feature.then_missing, feature.now_missing];
  const matters = Math.abs(goes - gone) >= LEAST_MISSING;
  return html(
    "div",
    {},
    histogram ? columns(histogram, text.drawing(nameOf(name), before, after)) : null,
    html(
      "dl",
      { class: "pair" },
      html("div", { class: "then" }, html("dt", {}, text.then), html("dd", {}, before), matters ? missing(gone) : null),
      html("div", { class: "now" }, html("dt", {}, text.now), html("dd", {}, after), matters ? missing(goes) : null),
    ),
  );
}

function value(number) {
  return number === null ? text.none : measured(number);
}

function missing(share) {
  return html("dd", { class: "missing" }, text.missing(percent(share)));
}

function columns(histogram, label) {
  const { width, height } = SIZE;
  const drawn = histogramColumns(histogram, SIZE).flatMap(({ x, width: wide, then, now }) => [
    svg("rect", { class: "then", x: x + 1, y: then.y, width: Math.max(1, wide - 2), height: then.height }),
    svg("rect", { class: "now", x: x + wide * 0.28, y: now.y, width: Math.max(1, wide * 0.44), height: now.height }),
  ]);
  const ends = [histogram.edges[0], histogram.edges.at(-1)].map(measured);
  return html(
    "div",
    { class: "histogram" },
    svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, preserveAspectRatio: "none" }, ...drawn, svg("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height })),
    html("p", { class: "ends", "aria-hidden": "true" }, ...ends.map((end) => html("span", {}, end))),
  );
}

function words({ then, now }) {
  const rows = wordParts({ then, now }).map((part) => {
    const name = part.name === null ? text.others : part.name || text.nothing;
    const bar = (side) => html("span", { class: `bar ${side}` }, svg("svg", { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { width: 100 * part[side], height: 8 })), html("span", {}, percent(part[side])));
    return html("div", { class: "word" }, html("dt", {}, name), html("dd", {}, bar("then")), html("dd", {}, bar("now")));
  });
  return html("dl", { class: "words" }, ...rows);
}
