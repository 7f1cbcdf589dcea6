/** The list beside the picture: detections, or a classifier's classes; without a prediction, the classes that the model knows. */

import { sameValues } from "../app/state.js";
import { messages } from "../i18n.js";
import { classRows } from "../logic/classification.js";
import { percent } from "../logic/format.js";
import { aboveThreshold, classCounts, effectiveThreshold, isCounting } from "../logic/prediction.js";
import { bar, classRow, swatch } from "./class_list.js";
import { byPart, html, hue } from "./dom.js";
import { replaceKeepingFocus } from "./focus.js";

const MOST_CLASSES = 12;

export function createResults(app) {
  const list = byPart("findings");
  let shown = {};

  list.addEventListener("pointerover", (event) => app.hover(idOf(event.target)));
  list.addEventListener("pointerleave", () => app.hover(null));
  list.addEventListener("focusin", (event) => app.hover(idOf(event.target)));
  list.addEventListener("focusout", () => app.hover(null));
  list.addEventListener("click", (event) => idOf(event.target) !== null && app.select(idOf(event.target)));

  function fill(content) {
    const { title, rows, rest } = content;
    byPart("findings-title").textContent = title;
    byPart("findings-rest").textContent = rest;
    replaceKeepingFocus(list, rows);
    byPart("seen").hidden = !rows.length && !rest;
  }

  function mark({ hovered, selected }) {
    for (const button of list.querySelectorAll("[data-id]")) {
      const isSelected = button.dataset.id === String(selected);
      button.classList.toggle("active", button.dataset.id === String(hovered ?? selected));
      if (button.getAttribute("aria-pressed") !== String(isSelected)) {
        button.setAttribute("aria-pressed", String(isSelected));
        if (isSelected) button.scrollIntoView({ block: "nearest" });
      }
    }
  }

  return function render(state) {
    const wanted = { prediction: state.request.prediction, modelInfo: state.modelInfo, threshold: state.threshold };
    if (!sameValues(wanted, shown)) fill(contentOf(state));
    shown = wanted;
    mark(state);
  };
}

function contentOf(state) {
  const { prediction } = state.request;
  if (!prediction) return known(state.modelInfo);
  if (prediction.task === "classify") return classes(prediction);
  const seen = aboveThreshold(prediction.detections, effectiveThreshold(state));
  const hidden = prediction.detections.length - seen.length;
  const counts = classCounts(state.modelInfo);
  return { title: messages.seen, rows: seen.map((detection) => finding(detection, counts)), rest: hidden ? messages.hidden(hidden) : "" };
}

function classes(prediction) {
  const { rows, rest } = classRows(prediction);
  const remarks = [rest ? messages.moreClasses(rest) : "", prediction.prediction_set ? messages.setLegend : ""];
  return { title: messages.probabilities, rows: rows.map(classRow), rest: remarks.filter(Boolean).join(". ") };
}

function known({ classes }) {
  const chips = classes.slice(0, MOST_CLASSES).map(({ id, name }) => html("li", { class: `chip ${hue(id)}` }, swatch(), name));
  const more = classes.length - chips.length;
  return { title: classes.length ? messages.knows : messages.seen, rows: chips, rest: more > 0 ? messages.moreClasses(more) : "" };
}

function finding({ id, class: kind, name, confidence }, counts) {
  const value = counts.get(kind) ?? null;
  const remark = !isCounting(counts) || String(value) === name ? "" : value === null ? messages.notCounted : messages.adds(value);
  const button = html(
    "button",
    { type: "button", class: `finding ${hue(kind)}`, "data-id": id, "aria-pressed": "false" },
    swatch(),
    html("span", { class: "name" }, name, " ", html("small", {}, remark)),
    bar(confidence),
    html("span", { class: "share" }, percent(confidence)),
  );
  return html("li", {}, button);
}

function idOf(target) {
  const id = target.closest("[data-id]")?.dataset.id;
  return id === undefined ? null : Number(id);
}
