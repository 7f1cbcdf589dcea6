/** What an answer says in one word. */

import { counts, limit, ranking, terms, total, visible, worths } from "./answer.js";
import { percent } from "./format.js";
import { words } from "../words.js";

/** More terms than this are no longer read, only counted. */
const MOST_TERMS = 6;

/**
 * @returns {label, value, sum, detail, wordy}: `value` is null while there is no answer, `sum` is how it came about,
 *   `wordy` says that the value is a name and not a number.
 */
export function verdictOf({ run, classes, threshold }) {
  const worth = worths(classes);
  if (!run.answer) return blank(classes.length === 0 || counts(worth) ? words.count : words.objects);
  if (run.answer.task === "classify") return likeliest(run.answer.probabilities);
  const chosen = limit(run.answer, threshold);
  const seen = visible(run.answer.detections, chosen);
  const label = counts(worth) ? words.count : words.objects;
  const value = String(total(seen, worth) ?? seen.length);
  if (!seen.length) return { ...blank(label), value, detail: words.nothingFound(percent(chosen)) };
  const added = terms(seen, worth);
  const sum = added.length > 1 && added.length <= MOST_TERMS ? words.sum(added) : "";
  const uncounted = counts(worth) ? seen.length - added.length : 0;
  return { ...blank(label), value, sum, detail: words.from(seen.length, uncounted) };
}

function likeliest(probabilities) {
  const [first] = ranking(probabilities);
  return { ...blank(words.verdict), value: first.name, detail: words.probability(percent(first.probability)), wordy: true };
}

function blank(label) {
  return { label, value: null, sum: "", detail: null, wordy: false };
}
