/** The list beside the picture: its boxes, or how likely each class is; what the model knows, while there is no answer. */

import { counts, limit, ranking, visible, worths } from "../logic/answer.js";
import { percent } from "../logic/format.js";
import { words } from "../words.js";
import { html, hue, part } from "./dom.js";
import { refill } from "./focus.js";

const MOST_CLASSES = 12;

export function createFindings(app) {
  const list = part("findings");
  let shown = {};

  list.addEventListener("pointerover", (event) => app.point(idOf(event.target)));
  list.addEventListener("pointerleave", () => app.point(null));
  list.addEventListener("focusin", (event) => app.point(idOf(event.target)));
  list.addEventListener("focusout", () => app.point(null));
  list.addEventListener("click", (event) => idOf(event.target) !== null && app.hold(idOf(event.target)));

  function fill(content) {
    const { title, rows, rest } = content;
    part("findings-title").textContent = title;
    part("findings-rest").textContent = rest;
    refill(list, rows);
    part("seen").hidden = !rows.length && !rest;
  }

  function mark({ pointed, held }) {
    for (const button of list.querySelectorAll("[data-id]")) {
      const isHeld = button.dataset.id === String(held);
      button.classList.toggle("active", button.dataset.id === String(pointed ?? held));
      if (button.getAttribute("aria-pressed") !== String(isHeld)) {
        button.setAttribute("aria-pressed", String(isHeld));
        if (isHeld) button.scrollIntoView({ block: "nearest" });
      }
    }
  }

  return function render(state) {
    const wanted = { answer: state.run.answer, traits: state.traits, threshold: state.threshold };
    if (Object.keys(wanted).some((key) => wanted[key] !== shown[key])) fill(contentOf(state));
    shown = wanted;
    mark(state);
  };
}

function contentOf(state) {
  const { answer } = state.run;
  if (!answer) return known(state.traits);
  if (answer.task === "classify") return { title: words.probabilities, rows: ranking(answer.probabilities).map(chance), rest: "" };
  const seen = visible(answer.detections, limit(state));
  const hidden = answer.detections.length - seen.length;
  const worth = worths(state.traits);
  return { title: words.seen, rows: seen.map((found) => finding(found, worth)), rest: hidden ? words.hidden(hidden) : "" };
}

function known({ classes }) {
  const chips = classes.slice(0, MOST_CLASSES).map(({ id, name }) => html("li", { class: `chip ${hue(id)}` }, swatch(), name));
  const more = classes.length - chips.length;
  return { title: classes.length ? words.knows : words.seen, rows: chips, rest: more > 0 ? words.moreClasses(more) : "" };
}

function finding({ id, class: kind, name, confidence }, worth) {
  const value = worth.get(kind) ?? null;
  const remark = !counts(worth) || String(value) === name ? "" : value === null ? words.notCounted : words.adds(value);
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

function chance({ class: kind, name, probability }) {
  return html(
    "li",
    { class: `finding ${hue(kind)}` },
    swatch(),
    html("span", { class: "name" }, name),
    bar(probability),
    html("span", { class: "share" }, percent(probability)),
  );
}

function swatch() {
  return html("span", { class: "swatch", "aria-hidden": "true" });
}

/** The width is set through the element's style object, which a strict content policy allows. */
function bar(share) {
  const filled = html("span", {});
  filled.style.width = `${share * 100}%`;
  return html("span", { class: "meter", "aria-hidden": "true" }, filled);
}

function idOf(target) {
  const id = target.closest("[data-id]")?.dataset.id;
  return id === undefined ? null : Number(id);
}
