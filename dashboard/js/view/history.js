/** The pictures of this visit as a strip below the stage. */

import { sameValues } from "../app/state.js";
import { messages } from "../i18n.js";
import { effectiveThreshold, resultOf } from "../logic/prediction.js";
import { byPart, html } from "./dom.js";
import { replaceKeepingFocus } from "./focus.js";

export function createHistory(app) {
  const root = byPart("history");
  const list = byPart("history-list");
  let shown = {};

  function entry(one, current) {
    const image = html("img", { src: one.picture.url, alt: "", width: 56, height: 56 });
    const label = messages.recall(one.picture.name, one.error ? messages.failedShort : textOf(one));
    const button = html(
      "button",
      { type: "button", "data-key": one.picture.url.split("/").at(-1), title: one.picture.name, "aria-label": label, "aria-current": one.picture === current && "true" },
      image,
      html("b", {}, one.error ? "!" : textOf(one)),
    );
    // A picture that this browser cannot show leaves its place to the number.
    image.addEventListener("error", () => image.remove());
    button.addEventListener("click", () => app.recall(one));
    return html("li", {}, button);
  }

  function textOf({ prediction, modelInfo }) {
    return resultOf(prediction, effectiveThreshold({ ...app.state(), modelInfo }), modelInfo);
  }

  return function render({ history, picture, threshold }) {
    root.hidden = history.length < 2;
    const wanted = { history, picture, threshold };
    if (sameValues(wanted, shown)) return;
    shown = wanted;
    replaceKeepingFocus(list, history.map((one) => entry(one, picture)));
  };
}
