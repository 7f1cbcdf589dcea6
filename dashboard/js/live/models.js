/** Live's own choice of model and version. */

import { words } from "../words.js";
import { aliasesOf } from "../logic/catalogue.js";
import { html } from "../view/dom.js";

/** Lists the versions that can be asked, keeping what is chosen; `none` names the choice of none. */
export function fillModels(select, listing, none = words.live.default) {
  const models = listing?.models ?? [];
  const known = JSON.stringify(models.map(({ name, versions }) => [name, versions.map((v) => [v.version, v.aliases, v.state])]));
  if (select.dataset.known === known) return;
  select.dataset.known = known;
  const chosen = select.value;
  const options = models.flatMap((model) =>
    model.versions.filter(({ state }) => state !== "refused").map((version) => option(model, version)),
  );
  select.replaceChildren(html("option", { value: "{}" }, none), ...options);
  choose(select, chosen);
}

/** Chooses what has this value, if it is still listed. */
export function choose(select, value) {
  if ([...select.options].some((one) => one.value === value)) select.value = value;
}

/** The connection's parameters for the choice. */
export function modelOf(select) {
  return JSON.parse(select.value);
}

function option({ name }, version) {
  const value = JSON.stringify({ model: name, version: version.version });
  return html("option", { value }, [name, words.version(version.version), ...aliasesOf(version)].join(" "));
}
