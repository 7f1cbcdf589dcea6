/** What an answer of the server comes to, at the threshold that the visitor set. */

/** The lowest confidence that is asked for; what is above it is filtered here, without a new request. */
export const ASKED_CONFIDENCE = 0.05;

/** The answer with its detections numbered by `id`, so that a box and its row know each other. */
export function numbered(answer) {
  return { ...answer, detections: (answer.detections ?? []).map((found, id) => ({ ...found, id })) };
}

/**
 * The detections above the threshold.
 *
 * It is what the server would have answered at this threshold: it drops overlapping boxes starting from the surest,
 * so boxes of a low confidence never decide about those of a higher one.
 */
export function visible(detections, threshold) {
  return detections.filter((found) => found.confidence > threshold);
}

/** The threshold in force: the visitor's, else the model's own; never lower than what was asked for. */
export function limit({ threshold, traits }) {
  return Math.max(ASKED_CONFIDENCE, threshold ?? traits.thresholds?.confidence ?? ASKED_CONFIDENCE);
}

/** Class id → what a detection of it adds to the count; null for a class that is not counted. */
export function worths({ classes }) {
  return new Map(classes.map(({ id, count }) => [id, count ?? null]));
}

/** What each counted detection adds, in the order of the detections. */
export function terms(detections, worth) {
  return detections.map((found) => worth.get(found.class) ?? null).filter((value) => value !== null);
}

/** The sum of what the detections are worth; null where no class of the model counts anything. */
export function total(detections, worth) {
  if (!counts(worth)) return null;
  return terms(detections, worth).reduce((sum, value) => sum + value, 0);
}

/** Whether any class of the model counts anything. */
export function counts(worth) {
  return [...worth.values()].some((value) => value !== null);
}

/** A classifier's answer, the likeliest class first. */
export function ranking(probabilities) {
  return [...probabilities].sort((a, b) => b.probability - a.probability);
}

/** The answer as the server would have given it at this threshold: what "Copy JSON" copies. */
export function asSeen(answer, threshold, worth) {
  if (answer.task !== "detect") return withoutNumbers(answer);
  const detections = visible(answer.detections, threshold);
  return {
    ...withoutNumbers({ ...answer, detections }),
    count: total(detections, worth),
    thresholds: { ...answer.thresholds, confidence: threshold },
  };
}

function withoutNumbers(answer) {
  if (!answer.detections?.length) return answer;
  return { ...answer, detections: answer.detections.map(({ id, ...found }) => found) };
}
