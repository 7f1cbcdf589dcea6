/** Models: the registry as tables, what made each version, and who is champion. */

import { aliasesOf, CHAMPION, headline, isEmpty } from "../logic/catalogue.js";
import { askAgain } from "../key.js";
import { day, metric } from "../logic/format.js";
import { expected, Problem } from "../problems.js";
import { confirmed } from "../view/confirm.js";
import { html } from "../view/dom.js";
import { refill } from "../view/focus.js";
import { card, table } from "../view/table.js";
import { words } from "../words.js";
import { runCards } from "./run.js";

const own = words.models;
/** As many versions are compared by class. */
const MOST_COMPARED = 4;

export function createView(root, app) {
  const says = html("p", { class: "says", role: "status", "data-part": "models-says" });
  const list = html("div", { "data-part": "models-list" });
  const details = html("div", { class: "details", "data-part": "models-details" });
  root.replaceChildren(html("h1", { class: "title", tabindex: -1 }, own.title), html("p", { class: "lead" }, own.lead), says, list, details);
  let shown = {};
  /** Counts what was opened, so that what is slow does not take the place of what was asked for after it. */
  let opened = 0;

  function say(text, bad = false) {
    says.textContent = text;
    says.classList.toggle("alert", bad);
  }

  /** Does it, and says in the server's words why not. */
  async function attempt(action) {
    say("");
    try {
      return await action();
    } catch (error) {
      expected(error);
      say(error instanceof Problem ? error.message : words.unreachableTitle, true);
      return null;
    }
  }

  async function move(question, action) {
    if (!(await confirmed(question, own.yes, own.no))) return;
    const moved = await attempt(action);
    if (!moved) return;
    say(own.moved(moved.model, moved.champion));
    await app.list();
  }

  async function open(model, version) {
    const mine = (opened += 1);
    const others = model.versions.filter((other) => other !== version && other.run_id);
    const wanted = [version, ...others].slice(0, MOST_COMPARED);
    const first = await attempt(() => app.api.run(model.name, version.version));
    if (!first || opened !== mine) return;
    // What is known of the others is beside the point where the registry has forgotten their runs.
    const rest = await Promise.all(wanted.slice(1).map(({ version: number }) => app.api.run(model.name, number).catch(forgotten)));
    if (opened !== mine) return;
    const runs = [first, ...rest].map((run, place) => ({ version: wanted[place].version, run })).filter(({ run }) => run);
    const title = html("h2", { class: "title", tabindex: -1 }, `${model.name} ${words.version(version.version)}`);
    details.replaceChildren(title, ...runCards(runs));
    title.focus();
  }

  function actions(model, version) {
    const buttons = [];
    const key = `${model.name}/${version.version}`;
    if (version.run_id) buttons.push(button(own.details, `${key}/details`, () => open(model, version)));
    if (!version.aliases.includes(CHAMPION) && version.state !== "refused") {
      const question = own.confirmPromote(model.name, version.version);
      buttons.push(button(own.promote, `${key}/promote`, () => move(question, () => app.api.promote(model.name, version.version))));
    }
    return html("div", { class: "row" }, ...buttons);
  }

  function modelCard(model) {
    const heads = Object.values(own.columns);
    const rows = [...model.versions].sort((a, b) => b.version - a.version).map((version) => [...cells(version), actions(model, version)]);
    const back = button(own.rollback, `${model.name}/rollback`, () => move(own.confirmRollback(model.name), () => app.api.rollback(model.name)));
    const kind = words.task[model.task] ?? "";
    const undo = "previous" in model.aliases ? html("div", { class: "row" }, back) : "";
    return card(`${model.name} ${kind}`.trim(), table(model.name, heads, rows), undo);
  }

  function fill({ listing, listingError }) {
    if (listingError) say(words.listingFailed(listingError.message), true);
    else if (!listing) say(own.loading);
    else if (isEmpty(listing)) say(own.empty);
    else if ([own.loading, own.empty].includes(says.textContent) || says.textContent.startsWith(words.listingFailed(""))) say("");
    refill(list, (listing?.models ?? []).filter(({ versions }) => versions.length).map(modelCard));
  }

  return {
    show() {
      askAgain();
      return app.list();
    },
    hide() {},
    render({ listing, listingError }) {
      // The same listing again must not take the focus from a button.
      const wanted = JSON.stringify([listing, listingError?.message]);
      if (wanted === shown) return;
      shown = wanted;
      fill({ listing, listingError });
    },
  };
}

function cells(version) {
  const badges = aliasesOf(version).map((alias) => html("span", { class: alias === CHAMPION ? "badge champion" : "badge" }, alias));
  const metrics = headline(version.metrics).map(([key, value]) => `${words.metricName(key)} ${metric(value)}`);
  const state = [own.state[version.state], version.reason].filter(Boolean).join(": ");
  return [
    words.version(version.version),
    html("span", { class: "row" }, ...badges),
    metrics.join(" · "),
    [version.architecture, version.dataset].filter(Boolean).join(" · "),
    day(version.created),
    state,
    version.run_id ? html("code", { title: version.run_id }, version.run_id.slice(0, 8)) : null,
  ];
}

function button(label, key, action) {
  const made = html("button", { type: "button", class: "button small", "data-key": key }, label);
  made.addEventListener("click", action);
  return made;
}

function forgotten(error) {
  expected(error);
  return null;
}
