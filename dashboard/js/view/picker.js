/** Choosing the model and the version: a button that names the choice, and below it what the registry offers. */

import { aliasesOf, CHAMPION, headline, resolve } from "../logic/catalogue.js";
import { day, metric } from "../logic/format.js";
import { words } from "../words.js";
import { html, icon, part } from "./dom.js";
import { refill } from "./focus.js";

export function createPicker(app) {
  const root = part("picker");
  const button = part("picker-button");
  const panel = part("picker-panel");
  let state = null;
  let listed = {};

  button.addEventListener("click", () => (panel.hidden ? open() : close()));
  root.addEventListener("keydown", onKey);
  root.addEventListener("focusout", (event) => {
    if (event.relatedTarget && !root.contains(event.relatedTarget)) close();
  });
  document.addEventListener("pointerdown", (event) => !root.contains(event.target) && close());

  function open() {
    panel.hidden = false;
    button.setAttribute("aria-expanded", "true");
    fill();
    entrance().focus();
    app.list();
  }

  /** Where the keyboard starts; the panel itself holds the focus until there is a version that can be chosen. */
  const entrance = () => panel.querySelector("[aria-current]:not([disabled])") ?? options()[0] ?? panel;

  function close(refocus = false) {
    panel.hidden = true;
    button.setAttribute("aria-expanded", "false");
    if (refocus) button.focus();
  }

  const options = () => [...panel.querySelectorAll("button:not([disabled])")];

  function onKey(event) {
    if (panel.hidden) return;
    if (event.key === "Escape") close(true);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = options();
    const place = all.indexOf(document.activeElement) + step;
    all[(place + all.length) % all.length]?.focus();
  }

  function pick(model, version) {
    close(true);
    app.choose(model, version);
  }

  /** Fills the panel, but only when what it shows has changed: who reads it with a screen reader would hear it anew. */
  function fill() {
    const { listing, listingError, choice } = state;
    if (listed.listing === listing && listed.choice === choice && listed.listingError === listingError) return;
    listed = { listing, listingError, choice };
    const groups = (listing?.models ?? []).map((model) => group(model, resolve(listing, choice), pick));
    const remark = listingError ? words.listingFailed(listingError.message) : words.noModels;
    refill(panel, groups.length ? groups : [html("p", { class: "remark" }, remark)], entrance);
  }

  return function render(next) {
    state = next;
    const { model, version } = resolve(state.listing, state.choice);
    part("picker-name").textContent = model?.name ?? state.choice?.model ?? words.chooseModel;
    part("picker-facts").replaceChildren(...(version ? facts(version) : []));
    if (!panel.hidden) fill();
  };
}

function facts(version) {
  const metrics = headline(version.metrics, 1).map(measured);
  return [html("span", { class: "number" }, words.version(version.version)), ...aliasesOf(version).map(badge), ...metrics];
}

function group(model, current, pick) {
  const kind = html("span", { class: "task" }, words.task[model.task] ?? model.task);
  const rows = [...model.versions].sort((a, b) => b.version - a.version).map((version) => row(model, version, current, pick));
  return html("section", { class: "model" }, html("h2", {}, model.name, " ", kind), html("ul", {}, ...rows));
}

function row(model, version, current, pick) {
  const inUse = model === current.model && version === current.version;
  const refused = version.state === "refused";
  const button = html(
    "button",
    { type: "button", class: "version", "data-key": `${model.name}/${version.version}`, disabled: refused, "aria-current": inUse && "true" },
    html("span", { class: "number" }, words.version(version.version)),
    html("span", { class: "badges" }, ...aliasesOf(version).map(badge)),
    html("span", { class: "metrics" }, ...headline(version.metrics).map(measured)),
    html("span", { class: "origin" }, origin(version)),
    refused ? html("span", { class: "reason" }, version.reason || words.versionState.refused) : null,
    inUse ? icon("check") : null,
  );
  button.addEventListener("click", () => pick(model, version));
  return html("li", {}, button);
}

function origin({ architecture, dataset, created, state }) {
  return [architecture, dataset, day(created), words.versionState[state]].filter(Boolean).join(" · ");
}

function badge(alias) {
  return html("span", { class: alias === CHAMPION ? "badge champion" : "badge" }, alias);
}

function measured([key, value]) {
  return html("span", { class: "metric" }, html("span", {}, words.metricName(key)), " ", html("b", {}, metric(value)));
}
