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
export function verdictOf(state) {
  const { answer } = state.run;
  const worth = worths(state.traits);
  if (!answer) return blank(worth.size === 0 || counts(worth) ? words.count : words.objects);
  if (answer.task === "classify") return likeliest(answer.probabilities);
  const chosen = limit(state);
  const seen = visible(answer.detections, chosen);
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
