/** What a prediction says in one word. */

import { messages } from "../i18n.js";
import { isDoubtful, taskOf } from "./classification.js";
import { percent } from "./format.js";
import { aboveThreshold, classCounts, countedValues, effectiveThreshold, isCounting, rankClasses, totalCount } from "./prediction.js";
import { resolveChoice } from "./registry.js";

/** More terms than this are no longer read, only counted. */
const MOST_TERMS = 6;

/**
 * @returns {label, value, sum, detail, wordy}: `value` is null while there is no prediction, `sum` is how it came about,
 *   `wordy` says that the value is a name and not a number. A classifier's has `doubtful` and `hint`, too.
 */
export function summaryOf(state) {
  const { prediction } = state.request;
  const counts = classCounts(state.modelInfo);
  const task = taskOf(prediction, resolveChoice(state.listing, state.choice).model);
  if (!prediction && task === "classify") return { ...blank(messages.verdict), wordy: true };
  if (!prediction) return blank(counts.size === 0 || isCounting(counts) ? messages.count : messages.objects);
  if (task === "classify") return likeliest(prediction);
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

function likeliest(prediction) {
  const [first] = rankClasses(prediction.probabilities);
  const detail = messages.probability(percent(first.probability));
  return { ...blank(messages.verdict), value: first.name, detail, wordy: true, doubtful: isDoubtful(prediction), hint: hintOf(prediction) };
}

/** What to make of the answer, in a sentence: the gravest first. */
function hintOf({ out_of_distribution: unlike, uncertain, thresholds, prediction_set: set }) {
  if (unlike) return messages.hint.unlike;
  if (uncertain) return messages.hint.uncertain(percent(thresholds.confidence));
  return set ? messages.hint.set(set.length) : "";
}

function blank(label) {
  return { label, value: null, sum: "", detail: null, wordy: false };
}
