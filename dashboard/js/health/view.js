/** Health: what the server measures of itself. */

import { allowPrompt } from "../api_key.js";
import { Problem, rethrowUnknown } from "../errors.js";
import { messages } from "../i18n.js";
import { bytes, milliseconds, percent } from "../logic/format.js";
import { filterSamples, histogramStats, parseMetrics, sum, sumByLabel } from "../logic/prometheus.js";
import { html, showMessage } from "../view/dom.js";
import { replaceKeepingFocus } from "../view/focus.js";
import { card, table } from "../view/table.js";

const EVERY = 5000;
const STAGES = ["queue", "decode", "blur", "preprocess", "inference", "postprocess", "draw", "total"];
const text = messages.health;

export function createView(root, app) {
  const says = html("p", { class: "says", role: "status", "data-part": "health-says" }, text.loading);
  const when = html("p", { class: "remark", "data-part": "health-when" });
  const body = html("div", { class: "cards", "data-part": "health-body" });
  root.replaceChildren(html("h1", { class: "title", tabindex: -1 }, text.title), html("p", { class: "lead" }, text.lead), says, body, when);
  let timer = null;
  let controller = null;

  async function refresh() {
    hide();
    const { signal } = (controller = new AbortController());
    try {
      const all = parseMetrics(await app.api.metrics(signal));
      fill(cards(all));
      showMessage(says, "");
      when.textContent = text.updated(new Date().toLocaleTimeString(messages.locale));
    } catch (error) {
      if (error.name === "AbortError") return;
      rethrowUnknown(error);
      showMessage(says, error instanceof Problem ? error.message : messages.unreachableTitle, true);
    }
    if (!signal.aborted) timer = setTimeout(refresh, EVERY);
  }

  /** Stops polling and cancels the request under way: one at a time, and none while this view is hidden. */
  function hide() {
    clearTimeout(timer);
    controller?.abort();
  }

  /** Keeps a card that did not change: somebody may be selecting text in it. */
  function fill(fresh) {
    if (!body.childElementCount) body.append(...fresh.map(() => html("div")));
    for (const [place, one] of fresh.entries()) {
      const slot = body.children[place];
      if (!slot.firstChild?.isEqualNode(one)) replaceKeepingFocus(slot, [one]);
    }
  }

  return {
    show() {
      allowPrompt();
      return refresh();
    },
    hide,
    render() {},
  };
}

function cards(all) {
  return [card(text.things, up(all)), card(text.load, figures(all)), stages(all), models(all), counted(text.rejects, text.noRejects, rejects(all)), counted(text.reloads, text.noReloads, reloads(all))];
}

function up(all) {
  const registry = sum(all, "handful_registry_reachable") > 0;
  const entry = (name, good) =>
    html("li", { class: good ? "up" : "down" }, html("span", { class: "dot", "aria-hidden": "true" }), `${name}: ${good ? text.up.yes : text.up.no}`);
  return html("ul", { class: "row things" }, entry(text.up.serving, true), entry(text.up.registry, registry));
}

function figures(all) {
  const answered = sum(all, "handful_predictions_total");
  const empty = sum(all, "handful_predictions_empty_total");
  const values = {
    queue: sum(all, "handful_queue_length"),
    work: sum(all, "handful_images_in_work"),
    answered,
    empty: answered ? percent(empty / answered) : "–",
    uncertain: shareOfClassified(all, "handful_predictions_uncertain_total"),
    unlike: shareOfClassified(all, "handful_predictions_out_of_distribution_total"),
    rejects: sum(all, "handful_rejects_total"),
    faces: sum(all, "handful_faces_blurred_total"),
    live: sum(all, "handful_live_connections"),
    memory: bytes(sum(all, "process_resident_memory_bytes")),
  };
  const figure = ([name, value]) => html("div", {}, html("dt", {}, text.figures[name]), html("dd", { "data-figure": name }, String(value)));
  return html("dl", { class: "figures" }, ...Object.entries(values).map(figure));
}

/** Of the images that classifiers in memory answered. */
function shareOfClassified(all, name) {
  const versions = filterSamples(all, "handful_model_info", { task: "classify" }).map(({ labels: { model, version } }) => ({ model, version }));
  const total = (metric) => versions.reduce((sofar, labels) => sofar + sum(all, metric, labels), 0);
  const answered = total("handful_predictions_total");
  return answered ? percent(total(name) / answered) : "–";
}

function stages(all) {
  const found = STAGES.map((stage) => [stage, histogramStats(all, "handful_stage_seconds", { stage })]).filter(([, one]) => one);
  if (!found.length) return card(text.latency, html("p", { class: "remark" }, text.nothing));
  const rows = found.map(([stage, { count, mean, median, slow }]) => [
    messages.stage[stage] ?? stage,
    count,
    milliseconds(mean),
    ...[median, slow].map((edge) => (Number.isFinite(edge) ? `≤ ${milliseconds(edge)}` : "–")),
  ]);
  return card(text.latency, table(text.latency, Object.values(text.stageColumns), rows));
}

function models(all) {
  const rows = filterSamples(all, "handful_model_info", {}).filter(({ value }) => value > 0).map(({ labels }) => {
    const key = { model: labels.model, version: labels.version };
    return [
      `${labels.model} ${messages.version(labels.version)}`,
      messages.models.state[labels.state] ?? labels.state,
      labels.architecture,
      sum(all, "handful_predictions_total", key),
      bytes(sum(all, "handful_model_memory_bytes", key)),
    ];
  });
  return card(text.models, rows.length ? table(text.models, Object.values(text.modelColumns), rows) : html("p", { class: "remark" }, messages.noModels));
}

function counted(title, none, rows) {
  return card(title, rows.length ? table(title, [title, text.count], rows) : html("p", { class: "remark" }, none));
}

function rejects(all) {
  return sumByLabel(all, "handful_rejects_total", "reason").map(([reason, count]) => [text.reason[reason] ?? reason.replaceAll("_", " "), count]);
}

function reloads(all) {
  return filterSamples(all, "handful_model_reloads_total").map(({ labels, value }) => [
    [labels.model, text.outcome[labels.outcome] ?? labels.outcome, text.failure[labels.reason] ?? labels.reason].filter(Boolean).join(" · "),
    value,
  ]);
}
