/** What a classifier's answer says beyond the likeliest class: which classes are possible, and whether to trust it at all. */

import { rankClasses } from "./prediction.js";

/** More rows than this are no longer read, only counted. */
export const MOST_ROWS = 12;
const MOST_LIVE = 6;

/**
 * The rows of the list: {class, name, probability, inSet}, the likeliest first. Classes of the prediction set are always
 * among them; `rest` says how many others are left out.
 */
export function classRows({ probabilities, prediction_set: set }, most = MOST_ROWS) {
  const possible = new Set(set ?? []);
  const ranked = rankClasses(probabilities).map((one) => ({ ...one, inSet: possible.has(one.name) }));
  const rows = ranked.filter(({ inSet }, place) => place < most || inSet);
  return { rows, rest: ranked.length - rows.length };
}

/**
 * The classes for Live, where bars that change places with each frame could not be read: few classes keep their own order,
 * of many the likeliest are shown.
 */
export function steadyRows(prediction, most = MOST_LIVE) {
  const { rows } = classRows(prediction, prediction.probabilities.length);
  return rows.length > most ? rows.slice(0, most) : rows.sort((a, b) => a.class - b.class);
}

/** The answer judged by the model's own threshold: the page asks at a lower one, which is good for boxes. */
export function judged(prediction, { thresholds }) {
  if (prediction.task !== "classify" || !thresholds) return prediction;
  const [first] = rankClasses(prediction.probabilities);
  const { confidence } = thresholds;
  return { ...prediction, uncertain: first.probability < confidence, thresholds: { ...prediction.thresholds, confidence } };
}

/** Whether the answer itself says not to rely on it: it is uncertain, or the picture is unlike the training images. */
export function isDoubtful(prediction) {
  return Boolean(prediction.uncertain || prediction.out_of_distribution);
}

/**
 * Whether to trust an answer: {kind: "certain" | "like", level: "good" | "bad" | "unknown"}. A package without a sample of its
 * training images cannot tell whether a picture is like them.
 */
export function trustOf({ uncertain, out_of_distribution: unlike }) {
  const like = typeof unlike === "boolean" ? levelOf(!unlike) : "unknown";
  return [{ kind: "certain", level: levelOf(!uncertain) }, { kind: "like", level: like }];
}

function levelOf(good) {
  return good ? "good" : "bad";
}

/** The task of what is shown: the prediction's, else that of the model that was chosen. */
export function taskOf(prediction, model) {
  return prediction?.task ?? model?.task ?? "detect";
}
