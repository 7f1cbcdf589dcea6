/** A <select> of models and versions, for Live and for comparing. */

import { messages } from "../i18n.js";
import { sortedAliases } from "../logic/registry.js";
import { html } from "./dom.js";

/** Lists the versions that can be used and keeps the selection; `none` is the text of the empty choice. */
export function fillModelSelect(select, listing, none = messages.live.default) {
  const models = listing?.models ?? [];
  const known = JSON.stringify(models.map(({ name, versions }) => [name, versions.map((v) => [v.version, v.aliases, v.state])]));
  if (select.dataset.known === known) return;
  select.dataset.known = known;
  const chosen = select.value;
  const options = models.flatMap((model) =>
    model.versions.filter(({ state }) => state !== "refused").map((version) => option(model, version)),
  );
  select.replaceChildren(html("option", { value: "{}" }, none), ...options);
  selectValue(select, chosen);
}

/** Selects the option with this value, if it is still listed. */
export function selectValue(select, value) {
  if ([...select.options].some((one) => one.value === value)) select.value = value;
}

/** The request's parameters for the selection. */
export function selectedModel(select) {
  return JSON.parse(select.value);
}

function option({ name }, version) {
  const value = JSON.stringify({ model: name, version: version.version });
  return html("option", { value }, [name, messages.version(version.version), ...sortedAliases(version)].join(" "));
}
