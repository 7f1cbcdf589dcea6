/** The page's views: one is shown, as the address says after its #. A view's code is fetched when it is first shown. */

import { messages } from "../i18n.js";
import { html } from "./dom.js";

const CODE = {
  live: () => import("../live/view.js"),
  models: () => import("../models/view.js"),
  monitoring: () => import("../monitoring/view.js"),
  review: () => import("../review/view.js"),
  health: () => import("../health/view.js"),
};
const NAMES = ["try", ...Object.keys(CODE)];

export function createViews(app) {
  const made = {};
  let shown = null;
  let state = app.state();

  async function show() {
    const name = NAMES.find((known) => `#${known}` === location.hash) ?? "try";
    if (name === shown) return;
    const former = shown;
    shown = name;
    made[former]?.hide();
    for (const other of NAMES) root(other).hidden = other !== name;
    mark(name);
    if (CODE[name]) made[name] ??= await make(name);
    if (shown !== name) return;
    made[name]?.render(state);
    made[name]?.show();
    // After a link, a screen reader goes on from the view's heading.
    if (former) focusHeading(name);
    scrollTo(0, 0);
  }

  /** Null if the view's code cannot be loaded: the button tries again, and so does the server's return. */
  async function make(name) {
    try {
      const { createView } = await CODE[name]();
      return (made[name] ??= createView(root(name), app));
    } catch (error) {
      // Browsers throw a TypeError for a module that does not arrive; an error inside of the module is a bug.
      if (!(error instanceof TypeError)) throw error;
      missing(name);
      return null;
    }
  }

  async function retry() {
    const name = shown;
    const wasHere = root(name).contains(document.activeElement);
    shown = null;
    await show();
    if (wasHere) focusHeading(name);
  }

  function missing(name) {
    const again = html("button", { type: "button", class: "button primary" }, messages.tryAgain);
    again.addEventListener("click", retry);
    const says = html("p", { class: "says alert", role: "alert" }, `${messages.unreachableTitle}. ${messages.unreachableDetail}`);
    root(name).replaceChildren(html("h1", { class: "title", tabindex: -1 }, messages.views[name]), says, again);
    app.check();
  }

  addEventListener("hashchange", show);
  show();

  return function render(next) {
    const isBack = state.server.state === "unreachable" && next.server.state === "ready";
    state = next;
    if (isBack && made[shown] === null) retry();
    for (const view of Object.values(made)) view?.render(state);
  };
}

function root(name) {
  return document.querySelector(`[data-view="${name}"]`);
}

function focusHeading(name) {
  root(name).querySelector("h1").focus({ preventScroll: true });
}

function mark(name) {
  document.title = name === "try" ? "Handful" : `${messages.views[name]} · Handful`;
  for (const link of document.querySelectorAll("[data-to]")) {
    if (link.dataset.to === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
