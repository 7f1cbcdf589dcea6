/** The verdict in sentences, what to do now, and what was said before. */

import { messages } from "../i18n.js";
import { sortFeatures, streak } from "../logic/drift.js";
import { moment } from "../logic/format.js";
import { html } from "../view/dom.js";
import { className, stateBadge, streamTitle } from "./streams.js";

const text = messages.monitoring;
/** Verdicts that are drawn: about a day's, with one every quarter of an hour. */
const MOST_PAST = 96;
/** Changes that are said at the top: all are shown below. */
const MOST_SAID = 4;

export function verdictCard(stream, history) {
  const { state, verdict } = stream;
  const [first, ...others] = sentences(stream);
  return html(
    "section",
    { class: `card verdict-card ${className(state)}`, "data-part": "verdict-card" },
    html("div", { class: "row" }, html("h2", {}, streamTitle(stream)), stateBadge(state)),
    html("p", { class: "headline", "data-part": "headline" }, first),
    others.length ? html("ul", { class: "also" }, ...others.map((one) => html("li", {}, one))) : null,
    html("p", { class: "remark", "data-part": "verdict-since" }, facts(stream, history)),
    html("p", { class: "next" }, html("b", {}, text.verdict.what), " ", text.verdict.next[state]),
    verdict ? links(verdict) : null,
    ...past(history),
  );
}

function sentences({ state, verdict, rows, needed }) {
  if (state === "gathering") return [text.verdict.gathering(rows, needed)];
  const { changed, once } = sortFeatures(verdict);
  const notes = verdict.notes ?? [];
  if (state === "changed") return [...changed.slice(0, MOST_SAID).map(said), ...more(changed.length - MOST_SAID), ...notes];
  const differs = once.slice(0, 1).map((feature) => text.verdict.once(text.says(feature)));
  if (state === "steady") return [text.verdict.steady, ...differs, ...notes];
  return tooFew(verdict.window, notes);
}

function more(count) {
  return count > 0 ? [text.verdict.more(count)] : [];
}

function said(feature) {
  return `${text.says(feature)}.`;
}

/** The monitor's own note on the number of rows is said in the page's words; what else it notes, in its own. */
function tooFew({ rows, effective }, notes) {
  const others = notes.filter((note) => !/^\d+ rows are (too few|worth)/.test(note));
  if (others.length && others.length === notes.length) return others;
  return [rows < 200 ? text.verdict.tooFewRows(rows) : text.verdict.tooSimilar(rows, Math.round(effective)), ...others];
}

function facts({ verdict, rows, needed }, history) {
  if (!verdict) return "";
  const lasting = streak(history);
  return [
    lasting && text.verdict.since(moment(lasting.since), lasting.count),
    text.verdict.window(verdict.window.rows, moment(verdict.at)),
    rows && text.verdict.gatheringMore(rows, needed),
  ]
    .filter(Boolean)
    .join(" ");
}

function links({ links: { verdict, report } }) {
  const link = (href, label) => html("a", { class: "button small", href, target: "_blank", rel: "noreferrer" }, label);
  return html("div", { class: "row links" }, link(verdict, text.verdict.mlflow), report ? link(report, text.verdict.report) : null);
}

/** The verdicts before, as marks from the oldest to the newest; nothing to draw of a single one. */
function past(history) {
  if (history.length < 2) return [];
  const shown = history.slice(-MOST_PAST);
  const marks = shown.map(({ at, verdict, changed }) => {
    const names = changed.slice(0, 3).map(text.name).join(", ");
    return html("li", { class: className(verdict), title: text.history.entry(moment(at), text.states[verdict], names) });
  });
  const changes = shown.filter(({ verdict }) => verdict === "changed").length;
  return [
    html("h3", {}, text.history.title),
    html(
      "div",
      { class: "timeline", "aria-hidden": "true" },
      html("ul", { class: "past", "data-part": "past" }, ...marks),
      html("p", { class: "ends" }, html("span", {}, moment(shown[0].at)), html("span", {}, moment(shown.at(-1).at))),
    ),
    html("p", { class: "remark" }, text.history.count(changes, shown.length)),
  ];
}
