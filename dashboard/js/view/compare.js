/** Two versions on the same picture, side by side. */

import { sameValues } from "../app/state.js";
import { Problem, rethrowUnknown } from "../errors.js";
import { messages } from "../i18n.js";
import { classRows } from "../logic/classification.js";
import { milliseconds } from "../logic/format.js";
import { aboveThreshold, classCounts, effectiveThreshold, isCounted, resultOf } from "../logic/prediction.js";
import { classRow, trustMarks } from "./class_list.js";
import { createClassMap } from "./class_map.js";
import { byPart, html, svg } from "./dom.js";
import { fillModelSelect, selectedModel } from "./model_select.js";
import { createOverlay } from "./overlay.js";

/** Classes of each side. */
const MOST_CLASSES = 5;

export function createCompare(app) {
  const root = byPart("compare");
  const select = byPart("compare-model");
  const sides = byPart("compare-sides");
  const says = byPart("compare-says");
  let state = null;
  let other = null;
  let asked = null;
  let shown = {};
  /** Draws the boxes of each side, at its present size. */
  let places = [];

  select.addEventListener("change", () => render(state));
  // Not draw(): new pictures have no height until they are loaded, so redrawing on each resize would never end.
  new ResizeObserver(placeAll).observe(sides);

  /** Requests the other version's prediction of the picture. */
  async function ask() {
    const { picture } = state.request;
    const token = (asked = { picture, value: select.value });
    other = null;
    says.textContent = messages.noVerdict.busy;
    try {
      const detection = await app.ask(picture.file, selectedModel(select));
      if (asked !== token) return;
      other = detection;
      says.textContent = "";
    } catch (error) {
      rethrowUnknown(error);
      if (asked !== token) return;
      says.textContent = error instanceof Problem ? error.message : messages.unreachableTitle;
    }
    draw();
  }

  function draw() {
    places = [];
    if (!other || !state.request.prediction) return sides.replaceChildren();
    const both = [{ prediction: state.request.prediction, modelInfo: state.modelInfo }, other];
    const figures = both.map(({ prediction, modelInfo }) => side(prediction, modelInfo));
    sides.replaceChildren(...figures.map(({ figure }) => figure));
    places = figures.map(({ place }) => place);
    placeAll();
  }

  function placeAll() {
    for (const place of places) place();
  }

  function side(prediction, modelInfo) {
    const counts = classCounts(modelInfo);
    const threshold = effectiveThreshold({ ...state, modelInfo });
    const detections = prediction.task === "detect" ? aboveThreshold(prediction.detections, threshold) : [];
    const image = html("img", { src: state.request.picture.url, alt: state.request.picture.name });
    const layer = svg("svg", { class: "overlay", "aria-hidden": "true" });
    const canvas = html("canvas", { class: "class-map", "aria-hidden": "true", hidden: true });
    const result = resultOf(prediction, threshold, modelInfo);
    const title = `${prediction.model} ${messages.version(prediction.version)}`;
    const frame = html("div", { class: "live-picture" }, image, canvas, layer);
    const figure = html(
      "figure",
      {},
      html("figcaption", {}, html("b", { class: "value" }, result), html("span", {}, title, " · ", milliseconds(prediction.timings_ms.total))),
      ...(prediction.task === "classify" ? classesOf(prediction) : []),
      frame,
    );
    const overlay = createOverlay(layer, { hover() {}, select() {} });
    const size = () => ({ width: frame.clientWidth, height: frame.clientHeight });
    const map = createClassMap(canvas);
    const place = () => {
      overlay.draw(detections, prediction.image, size(), (detection) => isCounted(detection, counts));
      if (prediction.explanation) map.draw(prediction.explanation, prediction.image, size(), state.mapOpacity);
    };
    image.addEventListener("load", place);
    // A picture that this browser cannot show leaves a blank of its shape, as on the stage.
    image.addEventListener("error", () => {
      frame.classList.add("blank");
      frame.style.setProperty("--ratio", prediction.image.width / prediction.image.height);
      place();
    });
    return { figure, place };
  }

  function render(next) {
    state = next;
    root.hidden = !state.request.prediction;
    fillModelSelect(select, state.listing, messages.compareNone);
    const wanted = { prediction: state.request.prediction, value: select.value, threshold: state.threshold, modelInfo: state.modelInfo };
    if (shown.mapOpacity !== state.mapOpacity) placeAll();
    shown = { ...shown, mapOpacity: state.mapOpacity };
    if (sameValues(wanted, shown)) return;
    shown = { ...wanted, mapOpacity: state.mapOpacity };
    if (select.value === "{}" || !state.request.prediction) {
      [other, asked] = [null, null];
      says.textContent = "";
      return draw();
    }
    if (asked?.picture !== state.request.picture || asked.value !== select.value) return ask();
    draw();
  }

  return render;
}

/** Two lists: what to make of the answer, and its likeliest classes. */
function classesOf(prediction) {
  const { rows } = classRows(prediction, MOST_CLASSES);
  return [html("ul", { class: "trusts" }, ...trustMarks(prediction)), html("ul", { class: "class-list" }, ...rows.map(classRow))];
}
