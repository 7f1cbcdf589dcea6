/** Two versions on the same picture, side by side. */

import { counts, limit, terms, total, visible, worths } from "../logic/answer.js";
import { milliseconds } from "../logic/format.js";
import { fillModels, modelOf } from "../live/models.js";
import { expected, Problem } from "../problems.js";
import { words } from "../words.js";
import { html, part, svg } from "./dom.js";
import { createOverlay } from "./overlay.js";

export function createCompare(app) {
  const root = part("compare");
  const select = part("compare-model");
  const sides = part("compare-sides");
  const says = part("compare-says");
  let state = null;
  let other = null;
  let asked = null;
  let shown = {};
  /** What puts the boxes where they belong, one for each side. */
  let places = [];

  select.addEventListener("change", () => render(state));
  // Not draw(): pictures made anew have no height at first, and a side that grows and shrinks would never come to rest.
  new ResizeObserver(placeAll).observe(sides);

  /** Asks the other version about the picture, unless it did already. */
  async function ask() {
    const { picture } = state.run;
    const mine = (asked = { picture, value: select.value });
    other = null;
    says.textContent = words.noVerdict.busy;
    try {
      const found = await app.ask(picture.file, modelOf(select));
      if (asked !== mine) return;
      other = found;
      says.textContent = "";
    } catch (error) {
      expected(error);
      if (asked !== mine) return;
      says.textContent = error instanceof Problem ? error.message : words.unreachableTitle;
    }
    draw();
  }

  function draw() {
    places = [];
    if (!other || !state.run.answer) return sides.replaceChildren();
    const both = [{ answer: state.run.answer, traits: state.traits }, other];
    const figures = both.map(({ answer, traits }) => side(answer, traits));
    sides.replaceChildren(...figures.map(({ figure }) => figure));
    places = figures.map(({ place }) => place);
    placeAll();
  }

  function placeAll() {
    for (const place of places) place();
  }

  function side(answer, traits) {
    const worth = worths(traits);
    const seen = answer.task === "detect" ? visible(answer.detections, limit({ ...state, traits })) : [];
    const image = html("img", { src: state.run.picture.url, alt: state.run.picture.name });
    const layer = svg("svg", { class: "overlay", "aria-hidden": "true" });
    const result = answer.task === "detect" ? (total(seen, worth) ?? seen.length) : best(answer);
    const title = `${answer.model} ${words.version(answer.version)}`;
    const frame = html("div", { class: "live-picture" }, image, layer);
    const figure = html(
      "figure",
      {},
      html("figcaption", {}, html("b", { class: "value" }, String(result)), html("span", {}, title, " · ", milliseconds(answer.timings_ms.total))),
      frame,
    );
    const overlay = createOverlay(layer, { point() {}, hold() {} });
    const isCounted = (found) => !counts(worth) || terms([found], worth).length > 0;
    const place = () => overlay.draw(seen, answer.image, { width: frame.clientWidth, height: frame.clientHeight }, isCounted);
    image.addEventListener("load", place);
    // A picture that this browser cannot show leaves a blank of its shape, as on the stage.
    image.addEventListener("error", () => {
      frame.classList.add("blank");
      frame.style.setProperty("--ratio", answer.image.width / answer.image.height);
      place();
    });
    return { figure, place };
  }

  function render(next) {
    state = next;
    root.hidden = !state.run.answer;
    fillModels(select, state.listing, words.compareNone);
    const wanted = { answer: state.run.answer, value: select.value, threshold: state.threshold, traits: state.traits };
    if (Object.keys(wanted).every((key) => wanted[key] === shown[key])) return;
    shown = wanted;
    if (select.value === "{}" || !state.run.answer) {
      [other, asked] = [null, null];
      says.textContent = "";
      return draw();
    }
    if (asked?.picture !== state.run.picture || asked.value !== select.value) return ask();
    draw();
  }

  return render;
}

function best({ probabilities }) {
  return probabilities.reduce((a, b) => (b.probability > a.probability ? b : a)).name;
}
