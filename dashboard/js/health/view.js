/** Health: what the server measures of itself. */

import { askAgain } from "../key.js";
import { bytes, milliseconds, percent } from "../logic/format.js";
import { pick, samples, spread, sum, tally } from "../logic/measurements.js";
import { expected, Problem } from "../problems.js";
import { html } from "../view/dom.js";
import { refill } from "../view/focus.js";
import { card, table } from "../view/table.js";
import { words } from "../words.js";

const EVERY = 5000;
const STAGES = ["queue", "decode", "blur", "preprocess", "inference", "postprocess", "draw", "total"];
const own = words.health;

export function createView(root, app) {
  const says = html("p", { class: "says", role: "status", "data-part": "health-says" }, own.loading);
  const when = html("p", { class: "remark", "data-part": "health-when" });
  const body = html("div", { class: "cards", "data-part": "health-body" });
  root.replaceChildren(html("h1", { class: "title", tabindex: -1 }, own.title), html("p", { class: "lead" }, own.lead), says, body, when);
  let timer = null;
  let flight = null;

  async function refresh() {
    hide();
    const { signal } = (flight = new AbortController());
    try {
      const all = samples(await app.api.metrics(signal));
      fill(cards(all));
      say("");
      when.textContent = own.updated(new Date().toLocaleTimeString(words.locale));
    } catch (error) {
      if (error.name === "AbortError") return;
      expected(error);
      say(error instanceof Problem ? error.message : words.unreachableTitle, true);
    }
    if (!signal.aborted) timer = setTimeout(refresh, EVERY);
  }

  /** Ends what is under way: it is asked once at a time, and not at all while this view is not seen. */
  function hide() {
    clearTimeout(timer);
    flight?.abort();
  }

  /** A card that did not change stays as it is: somebody may be marking a text in it. */
  function fill(fresh) {
    if (!body.childElementCount) body.append(...fresh.map(() => html("div")));
    for (const [place, one] of fresh.entries()) {
      const slot = body.children[place];
      if (!slot.firstChild?.isEqualNode(one)) refill(slot, [one]);
    }
  }

  function say(text, bad = false) {
    if (says.textContent !== text) says.textContent = text;
    says.classList.toggle("alert", bad);
  }

  return {
    show() {
      askAgain();
      return refresh();
    },
    hide,
    render() {},
  };
}

function cards(all) {
  return [card(own.things, up(all)), card(own.load, figures(all)), stages(all), models(all), counted(own.rejects, own.noRejects, rejects(all)), counted(own.reloads, own.noReloads, reloads(all))];
}

function up(all) {
  const registry = sum(all, "handful_registry_reachable") > 0;
  const entry = (name, good) =>
    html("li", { class: good ? "up" : "down" }, html("span", { class: "dot", "aria-hidden": "true" }), `${name}: ${good ? own.up.yes : own.up.no}`);
  return html("ul", { class: "row things" }, entry(own.up.serving, true), entry(own.up.registry, registry));
}

function figures(all) {
  const answered = sum(all, "handful_predictions_total");
  const empty = sum(all, "handful_predictions_empty_total");
  const values = {
    queue: sum(all, "handful_queue_length"),
    work: sum(all, "handful_images_in_work"),
    answered,
    empty: answered ? percent(empty / answered) : "–",
    rejects: sum(all, "handful_rejects_total"),
    faces: sum(all, "handful_faces_blurred_total"),
    live: sum(all, "handful_live_connections"),
    memory: bytes(sum(all, "process_resident_memory_bytes")),
  };
  const figure = ([name, value]) => html("div", {}, html("dt", {}, own.figures[name]), html("dd", { "data-figure": name }, String(value)));
  return html("dl", { class: "figures" }, ...Object.entries(values).map(figure));
}

function stages(all) {
  const found = STAGES.map((stage) => [stage, spread(all, "handful_stage_seconds", { stage })]).filter(([, one]) => one);
  if (!found.length) return card(own.latency, html("p", { class: "remark" }, own.nothing));
  const rows = found.map(([stage, { count, mean, median, slow }]) => [
    words.stage[stage] ?? stage,
    count,
    milliseconds(mean),
    ...[median, slow].map((edge) => (Number.isFinite(edge) ? `≤ ${milliseconds(edge)}` : "–")),
  ]);
  return card(own.latency, table(own.latency, Object.values(own.stageColumns), rows));
}

function models(all) {
  const rows = pick(all, "handful_model_info", {}).filter(({ value }) => value > 0).map(({ labels }) => {
    const key = { model: labels.model, version: labels.version };
    return [
      `${labels.model} ${words.version(labels.version)}`,
      words.models.state[labels.state] ?? labels.state,
      labels.architecture,
      sum(all, "handful_predictions_total", key),
      bytes(sum(all, "handful_model_memory_bytes", key)),
    ];
  });
  return card(own.models, rows.length ? table(own.models, Object.values(own.modelColumns), rows) : html("p", { class: "remark" }, words.noModels));
}

function counted(title, none, rows) {
  return card(title, rows.length ? table(title, [title, own.count], rows) : html("p", { class: "remark" }, none));
}

function rejects(all) {
  return tally(all, "handful_rejects_total", "reason").map(([reason, count]) => [reason.replaceAll("_", " "), count]);
}

function reloads(all) {
  return pick(all, "handful_model_reloads_total").map(({ labels, value }) => [
    [labels.model, own.outcome[labels.outcome] ?? labels.outcome, labels.reason].filter(Boolean).join(" · "),
    value,
  ]);
}
