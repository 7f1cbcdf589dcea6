/** What a prediction says in one word. */

import { messages } from "../i18n.js";
import { percent } from "./format.js";
import { aboveThreshold, classCounts, countedValues, effectiveThreshold, isCounting, rankClasses, totalCount } from "./prediction.js";

/** More terms than this are no longer read, only counted. */
const MOST_TERMS = 6;

/**
 * @returns {label, value, sum, detail, wordy}: `value` is null while there is no prediction, `sum` is how it came about,
 *   `wordy` says that the value is a name and not a number.
 */
export function summaryOf(state) {
  const { prediction } = state.request;
  const counts = classCounts(state.modelInfo);
  if (!prediction) return blank(counts.size === 0 || isCounting(counts) ? messages.count : messages.objects);
  if (prediction.task === "classify") return likeliest(prediction.probabilities);
  const chosen = effectiveThreshold(state);
  const seen = aboveThreshold(prediction.detections, chosen);
  const label = isCounting(counts) ? messages.count : messages.objects;
  const value = String(totalCount(seen, counts) ?? seen.length);
  if (!seen.length) return { ...blank(label), value, detail: messages.nothingFound(percent(chosen)) };
  const added = countedValues(seen, counts);
  const sum = added.length > 1 && added.length <= MOST_TERMS ? messages.sum(added) : "";
  const uncounted = isCounting(counts) ? seen.length - added.length : 0;
  return { ...blank(label), value, sum, detail: messages.from(seen.length, uncounted) };
}

function likeliest(probabilities) {
  const [first] = rankClasses(probabilities);
  return { ...blank(messages.verdict), value: first.name, detail: messages.probability(percent(first.probability)), wordy: true };
}

function blank(label) {
  return { label, value: null, sum: "", detail: null, wordy: false };
}
