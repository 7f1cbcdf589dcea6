/** Choosing the model and the version: a button that names the choice, and below it what the registry offers. */

import { messages } from "../i18n.js";
import { day, metric } from "../logic/format.js";
import { CHAMPION, resolveChoice, showsSeveralScores, sortedAliases, topMetrics } from "../logic/registry.js";
import { byPart, html, icon } from "./dom.js";
import { replaceKeepingFocus } from "./focus.js";

export function createPicker(app) {
  const root = byPart("picker");
  const button = byPart("picker-button");
  const panel = byPart("picker-panel");
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
    app.loadListing();
  }

  /** Where the keyboard's focus starts: the version in use, else the first, else the panel itself. */
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

  /** Fills the panel only if its content changed: a screen reader would read it again. */
  function fill() {
    const { listing, listingError, choice } = state;
    if (listed.listing === listing && listed.choice === choice && listed.listingError === listingError) return;
    listed = { listing, listingError, choice };
    const groups = (listing?.models ?? []).map((model) => group(model, resolveChoice(listing, choice), pick));
    const remark = listingError ? messages.listingFailed(listingError.message) : messages.noModels;
    if (listing?.models.some(showsSeveralScores)) groups.push(html("p", { class: "remark" }, messages.noRanking));
    replaceKeepingFocus(panel, groups.length ? groups : [html("p", { class: "remark" }, remark)], entrance);
  }

  return function render(next) {
    state = next;
    const { model, version } = resolveChoice(state.listing, state.choice);
    byPart("picker-name").textContent = model?.name ?? state.choice?.model ?? messages.chooseModel;
    byPart("picker-facts").replaceChildren(...(version ? facts(version) : []));
    if (!panel.hidden) fill();
  };
}

function facts(version) {
  const metrics = topMetrics(version.metrics, 1).map(measured);
  return [html("span", { class: "number" }, messages.version(version.version)), ...sortedAliases(version).map(badge), ...metrics];
}

function group(model, current, pick) {
  const kind = html("span", { class: "task" }, messages.task[model.task] ?? model.task);
  const rows = [...model.versions].sort((a, b) => b.version - a.version).map((version) => row(model, version, current, pick));
  return html("section", { class: "model" }, html("h2", {}, model.name, " ", kind), html("ul", {}, ...rows));
}

function row(model, version, current, pick) {
  const inUse = model === current.model && version === current.version;
  const refused = version.state === "refused";
  const button = html(
    "button",
    { type: "button", class: "version", "data-key": `${model.name}/${version.version}`, disabled: refused, "aria-current": inUse && "true" },
    html("span", { class: "number" }, messages.version(version.version)),
    html("span", { class: "badges" }, ...sortedAliases(version).map(badge)),
    html("span", { class: "metrics" }, ...topMetrics(version.metrics).map(measured)),
    html("span", { class: "origin" }, origin(version)),
    refused ? html("span", { class: "reason" }, version.reason || messages.versionState.refused) : null,
    inUse ? icon("check") : null,
  );
  button.addEventListener("click", () => pick(model, version));
  return html("li", {}, button);
}

function origin({ architecture, dataset, created, state }) {
  return [architecture, dataset, day(created), messages.versionState[state]].filter(Boolean).join(" · ");
}

function badge(alias) {
  return html("span", { class: alias === CHAMPION ? "badge champion" : "badge" }, alias);
}

function measured([key, value]) {
  return html("span", { class: "metric" }, html("span", {}, messages.metricName(key)), " ", html("b", {}, metric(value)));
}
