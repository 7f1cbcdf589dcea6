/** The pictures of this visit as a strip below the stage. */

import { total, visible, worths, limit } from "../logic/answer.js";
import { words } from "../words.js";
import { html, part } from "./dom.js";
import { refill } from "./focus.js";

export function createHistory(app) {
  const root = part("history");
  const list = part("history-list");
  let shown = {};

  function entry(one, current) {
    const image = html("img", { src: one.picture.url, alt: "", width: 56, height: 56 });
    const label = words.recall(one.picture.name, one.error ? words.failedShort : resultOf(one));
    const button = html(
      "button",
      { type: "button", "data-key": one.picture.url.split("/").at(-1), title: one.picture.name, "aria-label": label, "aria-current": one.picture === current && "true" },
      image,
      html("b", {}, one.error ? "!" : resultOf(one)),
    );
    // A picture that this browser cannot show leaves its place to the number.
    image.addEventListener("error", () => image.remove());
    button.addEventListener("click", () => app.recall(one));
    return html("li", {}, button);
  }

  function resultOf({ answer, traits }) {
    if (answer.task === "classify") return answer.probabilities.reduce((a, b) => (b.probability > a.probability ? b : a)).name;
    const seen = visible(answer.detections, limit({ ...app.state(), traits }));
    return String(total(seen, worths(traits)) ?? seen.length);
  }

  return function render({ visit, picture, threshold }) {
    root.hidden = visit.length < 2;
    const wanted = { visit, picture, threshold };
    if (Object.keys(wanted).every((key) => wanted[key] === shown[key])) return;
    shown = wanted;
    refill(list, visit.map((one) => entry(one, picture)));
  };
}
