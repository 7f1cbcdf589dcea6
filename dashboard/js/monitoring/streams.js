/** The models, versions and sources that are watched: one of them is shown. */

import { messages } from "../i18n.js";
import { moment } from "../logic/format.js";
import { html } from "../view/dom.js";
import { card } from "../view/table.js";

const text = messages.monitoring;

/** A stream's name for people. */
export function streamTitle({ model, version, source }) {
  return `${model} ${messages.version(version)} · ${source || text.noSource}`;
}

/** @param pick is called with the key of the one that was picked. */
export function streamsCard(streams, shown, pick) {
  const items = streams.map((stream) => {
    const button = html(
      "button",
      { type: "button", class: "stream", "data-key": `stream/${stream.key}`, "aria-pressed": String(stream.key === shown.key) },
      html("span", { class: "stream-name" }, html("b", {}, stream.source || text.noSource), html("small", {}, `${stream.model} ${messages.version(stream.version)}`)),
      stateBadge(stream.state),
      html("small", { class: "stream-when" }, stream.verdict ? moment(stream.verdict.at) : `${stream.rows} / ${stream.needed}`),
    );
    button.addEventListener("click", () => pick(stream.key));
    return html("li", {}, button);
  });
  return card(text.streams, html("ul", { class: "streams", "data-part": "streams" }, ...items));
}

/** A verdict in a word, with a colour and a form of its own. */
export function stateBadge(state) {
  return html("span", { class: `state ${className(state)}` }, html("span", { class: "mark", "aria-hidden": "true" }), text.states[state]);
}

/** "too few" → "too-few". */
export function className(state) {
  return state.replace(" ", "-");
}
