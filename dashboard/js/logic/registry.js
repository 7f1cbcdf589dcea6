/** The listed models and versions, and which of them a choice means. */

export const CHAMPION = "champion";
const BEST_KNOWN = ["mAP50", "mAP50_95", "count_accuracy", "macro_f1", "accuracy", "top1", "f1", "precision", "recall"];

/**
 * A visitor's choice of this version. Who picks the champion follows the alias, also when it moves on; who picks
 * another version stays with it.
 */
export function choiceOf(model, version) {
  const follows = version.aliases.includes(CHAMPION);
  return { model: model.name, version: follows ? null : version.version };
}

/** The request's parameters for a choice; none at all lets the server take its default. */
export function queryParameters(choice) {
  if (!choice) return {};
  return choice.version === null ? { model: choice.model } : { model: choice.model, version: choice.version };
}

/** The model and version that a choice means now: {model, version}, either of which may be null. */
export function resolveChoice(listing, choice) {
  const name = choice?.model ?? listing?.default;
  const model = listing?.models.find((candidate) => candidate.name === name) ?? null;
  const number = choice?.version ?? model?.aliases[CHAMPION];
  return { model, version: find(model, number) };
}

/** The listing's entry of this model's version, or null. */
export function findVersion(listing, name, number) {
  return find(listing?.models.find((candidate) => candidate.name === name), number);
}

/** Whether the listing holds any version at all. */
export function isEmpty(listing) {
  return !listing?.models.some((model) => model.versions.length > 0);
}

/** The most telling metrics, as [key, value] pairs: the well-known first, numbers only. */
export function topMetrics(metrics, most = 2) {
  const rank = (key) => (BEST_KNOWN.includes(key) ? BEST_KNOWN.indexOf(key) : BEST_KNOWN.length);
  return Object.entries(metrics ?? {})
    .filter(([, value]) => Number.isFinite(value))
    .sort(([a], [b]) => rank(a) - rank(b))
    .slice(0, most);
}

/** Whether scores of several versions stand side by side, so that somebody may take them for a ranking. */
export function showsSeveralScores(model) {
  return model.versions.filter(({ metrics }) => topMetrics(metrics, 1).length).length > 1;
}

/** Aliases, the champion first. */
export function sortedAliases(version) {
  return [...version.aliases].sort((a, b) => (b === CHAMPION) - (a === CHAMPION) || a.localeCompare(b));
}

function find(model, number) {
  return model?.versions.find((version) => version.version === number) ?? null;
}
