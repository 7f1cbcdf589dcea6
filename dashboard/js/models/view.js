/** Models: the registry as tables, what made each version, and who is champion. */

import { allowPrompt } from "../api_key.js";
import { Problem, rethrowUnknown } from "../errors.js";
import { messages } from "../i18n.js";
import { day, metric } from "../logic/format.js";
import { CHAMPION, isEmpty, showsSeveralScores, sortedAliases, topMetrics } from "../logic/registry.js";
import { confirmDialog } from "../view/dialog.js";
import { html, showMessage } from "../view/dom.js";
import { replaceKeepingFocus } from "../view/focus.js";
import { card, table } from "../view/table.js";
import { runCards } from "./run.js";

const text = messages.models;
/** At most so many versions are compared by class. */
const MOST_COMPARED = 4;

export function createView(root, app) {
  const says = html("p", { class: "says", role: "status", "data-part": "models-says" });
  const list = html("div", { "data-part": "models-list" });
  const details = html("div", { class: "details", "data-part": "models-details" });
  root.replaceChildren(html("h1", { class: "title", tabindex: -1 }, text.title), html("p", { class: "lead" }, text.lead), says, list, details);
  let shown = {};
  /** Counts what was opened: a slow response must not replace what was opened after it. */
  let opened = 0;

  /** Runs an action; shows the server's reason if it fails. */
  async function attempt(action) {
    showMessage(says, "");
    try {
      return await action();
    } catch (error) {
      rethrowUnknown(error);
      showMessage(says, error instanceof Problem ? error.message : messages.unreachableTitle, true);
      return null;
    }
  }

  async function move(question, action) {
    if (!(await confirmDialog(question, text.yes, text.no))) return;
    const moved = await attempt(action);
    if (!moved) return;
    showMessage(says, text.moved(moved.model, moved.champion));
    await app.loadListing();
  }

  async function open(model, version) {
    const token = (opened += 1);
    const others = model.versions.filter((other) => other !== version && other.run_id);
    const wanted = [version, ...others].slice(0, MOST_COMPARED);
    const first = await attempt(() => app.api.trainingRun(model.name, version.version));
    if (!first || opened !== token) return;
    // The other versions are only for comparison: one whose run was deleted is left out.
    const rest = await Promise.all(wanted.slice(1).map(({ version: number }) => app.api.trainingRun(model.name, number).catch(forgotten)));
    if (opened !== token) return;
    const runs = [first, ...rest].map((run, place) => ({ version: wanted[place].version, run })).filter(({ run }) => run);
    const title = html("h2", { class: "title", tabindex: -1 }, `${model.name} ${messages.version(version.version)}`);
    details.replaceChildren(title, ...runCards(runs));
    title.focus();
  }

  function actions(model, version) {
    const buttons = [];
    const key = `${model.name}/${version.version}`;
    if (version.run_id) buttons.push(button(text.details, `${key}/details`, () => open(model, version)));
    if (!version.aliases.includes(CHAMPION) && version.state !== "refused") {
      const question = text.confirmPromote(model.name, version.version);
      buttons.push(button(text.promote, `${key}/promote`, () => move(question, () => app.api.promote(model.name, version.version))));
    }
    return html("div", { class: "row" }, ...buttons);
  }

  function modelCard(model) {
    const heads = Object.values(text.columns);
    const rows = [...model.versions].sort((a, b) => b.version - a.version).map((version) => [...cells(model, version), actions(model, version)]);
    const back = button(text.rollback, `${model.name}/rollback`, () => move(text.confirmRollback(model.name), () => app.api.rollback(model.name)));
    const kind = messages.task[model.task] ?? "";
    const undo = "previous" in model.aliases ? html("div", { class: "row" }, back) : "";
    const remark = showsSeveralScores(model) ? html("p", { class: "remark" }, messages.noRanking) : "";
    return card(`${model.name} ${kind}`.trim(), table(model.name, heads, rows), remark, undo);
  }

  function fill({ listing, listingError }) {
    if (listingError) showMessage(says, messages.listingFailed(listingError.message), true);
    else if (!listing) showMessage(says, text.loading);
    else if (isEmpty(listing)) showMessage(says, text.empty);
    else if ([text.loading, text.empty].includes(says.textContent) || says.textContent.startsWith(messages.listingFailed(""))) showMessage(says, "");
    replaceKeepingFocus(list, (listing?.models ?? []).filter(({ versions }) => versions.length).map(modelCard));
  }

  return {
    show() {
      allowPrompt();
      return app.loadListing();
    },
    hide() {},
    render({ listing, listingError }) {
      // Redrawing the same listing would take the focus from a button.
      const wanted = JSON.stringify([listing, listingError?.message]);
      if (wanted === shown) return;
      shown = wanted;
      fill({ listing, listingError });
    },
  };
}

function cells(model, version) {
  const badges = sortedAliases(version).map((alias) => html("span", { class: alias === CHAMPION ? "badge champion" : "badge" }, alias));
  const metrics = topMetrics(version.metrics).map(([key, value]) => `${messages.metricName(key)} ${metric(value)}`);
  const state = [text.state[version.state], version.reason].filter(Boolean).join(": ");
  return [
    messages.version(version.version),
    html("span", { class: "row" }, ...badges),
    metrics.join(" · "),
    version.gate && decision(model, version),
    [version.architecture, below(version.precision), version.dataset].filter(Boolean).join(" · "),
    day(version.created),
    state,
    version.run_id ? html("code", { title: version.run_id }, version.run_id.slice(0, 8)) : null,
  ];
}

/** A precision below FP32, as people write it. */
function below(precision) {
  return precision === "fp32" ? null : precision?.toUpperCase();
}

/** The gate's decision, with its reason to open. */
function decision({ name }, { version, gate }) {
  const label = `${text.gate[gate.decision]}. ${text.whyGate(messages.version(version))}`;
  const summary = html("summary", { "data-key": `${name}/${version}/gate`, "aria-label": label }, text.gate[gate.decision]);
  return html("details", { class: "gate" }, summary, html("p", { class: "remark" }, gate.reason));
}

function button(label, key, action) {
  const made = html("button", { type: "button", class: "button small", "data-key": key }, label);
  made.addEventListener("click", action);
  return made;
}

function forgotten(error) {
  rethrowUnknown(error);
  return null;
}
