/** The page's views: one is shown, as the address says after its #. A view's code is fetched when it is first shown. */

import { words } from "../words.js";

const CODE = {
  live: () => import("../live/view.js"),
  models: () => import("../models/view.js"),
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
    if (CODE[name] && !made[name]) made[name] = (await CODE[name]()).createView(root(name), app);
    made[name]?.render(state);
    if (shown !== name) return;
    made[name]?.show();
    // Who moved here by a link goes on reading from the view's heading.
    if (former) root(name).querySelector("h1").focus({ preventScroll: true });
    scrollTo(0, 0);
  }

  addEventListener("hashchange", show);
  show();

  return function render(next) {
    state = next;
    for (const view of Object.values(made)) view.render(state);
  };
}

function root(name) {
  return document.querySelector(`[data-view="${name}"]`);
}

function mark(name) {
  document.title = name === "try" ? "Handful" : `${words.views[name]} · Handful`;
  for (const link of document.querySelectorAll("[data-to]")) {
    if (link.dataset.to === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
}
