/** What stands beside the picture under review: what the model said, the boxes or classes, and what can be done. */

import { messages } from "../i18n.js";
import { isChanged } from "../logic/annotation.js";
import { moment, percent } from "../logic/format.js";
import { html, hue } from "../view/dom.js";
import { replaceKeepingFocus } from "../view/focus.js";

const text = messages.review;

/** @param actions what the buttons do. */
export function createPanel(actions) {
  const facts = html("p", { class: "remark", "data-part": "review-facts" });
  const list = html("div", { "data-part": "review-list" });
  const main = html("div", { class: "review-actions" });
  const rest = html("div", { class: "row review-rest" });
  const heard = html("p", { class: "visually-hidden", role: "status", "data-part": "review-heard" });
  const root = html("div", { class: "panel review-panel" }, html("section", {}, facts, list), html("section", {}, main, rest, heard), html("section", {}, keys()));

  return {
    root,
    /** For those who do not see that the next picture came. */
    announce(words) {
      heard.textContent = words;
    },
    render({ picture, editing, classes, hasPast }) {
      facts.textContent = factsOf(picture);
      const shown = editing.annotation.objects ? boxes(editing, classes, actions) : choice(editing, picture, classes, actions);
      replaceKeepingFocus(list, shown);
      replaceKeepingFocus(main, [
        action(isChanged(editing) ? text.save : text.accept, "review-save", actions.save, "primary"),
        action(text.notUsable, "review-aside", actions.setAside),
      ]);
      replaceKeepingFocus(rest, [
        small(text.undo, "review-undo", actions.step, !editing.past.length),
        small(text.later, "review-later", actions.later),
        small(text.back, "review-back", actions.back, !hasPast),
        small(text.deleteOne, "review-delete", actions.deleteOne),
        small(text.deleteAll, "review-delete-all", actions.deleteAll),
      ]);
    },
  };
}

function factsOf(picture) {
  const { reason, score, model, version, source, at } = picture;
  const why = reason === "unsure" ? text.reasons.unsure(percent(score)) : (text.reasons[reason] ?? reason);
  return [why, `${model} ${version}`, source, moment(at), picture.review && text.reviewedBy(picture.review)].filter(Boolean).join(" · ");
}

/** A detector's boxes, each with its class. */
function boxes({ annotation, selected }, classes, actions) {
  const rows = annotation.objects.map(({ name }, place) => {
    const isSelected = place === selected;
    const pick = html("button", { type: "button", class: "review-pick", "aria-pressed": String(isSelected), "data-key": `pick-${place}` }, html("span", { class: `swatch ${hue(Math.max(0, classes.indexOf(name)))}` }), text.box(place + 1));
    pick.addEventListener("click", () => actions.pick(place));
    const options = [...new Set([...classes, name])].map((one, index) => html("option", { value: one, selected: one === name }, index < 10 ? `${(index + 1) % 10} · ${one}` : one));
    const chosen = html("select", { "aria-label": text.classOf(place + 1), "data-key": `class-${place}` }, ...options);
    chosen.addEventListener("change", () => (actions.pick(place), actions.name(chosen.value)));
    return html("li", { class: isSelected ? "review-object selected" : "review-object" }, pick, chosen);
  });
  const title = html("h2", {}, text.boxes(rows.length));
  const add = small(text.add, "review-add", actions.addBox);
  const remove = small(text.remove, "review-remove", actions.removeBox, selected === null);
  return [title, html("ul", { class: "review-objects" }, ...rows), html("div", { class: "row" }, add, remove)];
}

/** A classifier's classes, of which one is right. */
function choice({ annotation }, picture, classes, actions) {
  const probable = new Map(picture.answer.probabilities?.map(({ name, probability }) => [name, probability]));
  const rows = classes.map((name, place) => {
    const isChosen = name === annotation.name;
    const key = place < 10 ? html("kbd", {}, String((place + 1) % 10)) : "";
    const said = probable.has(name) ? html("span", { class: "remark" }, percent(probable.get(name))) : "";
    const pick = html("button", { type: "button", class: "review-class", "aria-pressed": String(isChosen), "data-key": `class-${name}` }, key, html("span", {}, name), said);
    pick.addEventListener("click", () => actions.name(name));
    return html("li", {}, pick);
  });
  return [html("h2", {}, text.classes), html("ul", { class: "review-objects" }, ...rows)];
}

function keys() {
  const rows = text.keys.map(([key, meaning]) => html("div", {}, html("dt", {}, ...key.split(" ").map((one) => html("kbd", {}, one))), html("dd", {}, meaning)));
  return html("details", { class: "review-keys" }, html("summary", {}, html("h2", {}, text.keysTitle)), html("dl", {}, ...rows));
}

function action(label, part, act, more = "") {
  return made(`button ${more}`.trim(), label, part, act, false);
}

function small(label, part, act, isOff = false) {
  return made("button small", label, part, act, isOff);
}

function made(kind, label, part, act, isOff) {
  const button = html("button", { type: "button", class: kind, "data-part": part, "data-key": part, disabled: isOff }, label);
  button.addEventListener("click", act);
  return button;
}
