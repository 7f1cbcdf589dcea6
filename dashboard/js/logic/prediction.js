/** What a prediction says at the threshold that the visitor set. */

import { messages } from "../i18n.js";

/** The lowest confidence that is asked for; what is above it is filtered here, without a new request. */
export const MIN_CONFIDENCE = 0.05;

/** The prediction with an `id` on each detection, which links its box with its row. */
export function withIds(prediction) {
  return { ...prediction, detections: (prediction.detections ?? []).map((detection, id) => ({ ...detection, id })) };
}

/**
 * The detections above the threshold.
 *
 * No request is needed: non-maximum suppression starts from the highest confidence, so boxes below the threshold never
 * removed one above it, and the server would give the same.
 */
export function aboveThreshold(detections, threshold) {
  return detections.filter((detection) => detection.confidence > threshold);
}

/** The threshold in force: the visitor's, else the model's own; never lower than what was asked for. */
export function effectiveThreshold({ threshold, modelInfo }) {
  return Math.max(MIN_CONFIDENCE, threshold ?? modelInfo.thresholds?.confidence ?? MIN_CONFIDENCE);
}

/** Class id → what a detection of it adds to the count; null for a class that is not counted. */
export function classCounts({ classes }) {
  return new Map(classes.map(({ id, count }) => [id, count ?? null]));
}

/** What each counted detection adds, in the order of the detections. */
export function countedValues(detections, counts) {
  return detections.map((detection) => counts.get(detection.class) ?? null).filter((value) => value !== null);
}

/** The sum of what the detections count; null where no class of the model counts anything. */
export function totalCount(detections, counts) {
  if (!isCounting(counts)) return null;
  return countedValues(detections, counts).reduce((sum, value) => sum + value, 0);
}

/** Whether any class of the model counts anything. */
export function isCounting(counts) {
  return [...counts.values()].some((value) => value !== null);
}

/** Whether a detection adds to the count; all do where no class of the model counts anything. */
export function isCounted(detection, counts) {
  return !isCounting(counts) || (counts.get(detection.class) ?? null) !== null;
}

/** The prediction in one word: the count, or how many objects; of a classifier the likeliest class. */
export function resultOf(prediction, threshold, modelInfo) {
  if (prediction.task === "classify") return likeliest(prediction);
  const detections = aboveThreshold(prediction.detections, threshold);
  return String(totalCount(detections, classCounts(modelInfo)) ?? detections.length);
}

function likeliest(prediction) {
  const { name } = rankClasses(prediction.probabilities)[0];
  return prediction.uncertain || prediction.out_of_distribution ? messages.doubtful(name) : name;
}

/** A classifier's probabilities, the likeliest class first. */
export function rankClasses(probabilities) {
  return [...probabilities].sort((a, b) => b.probability - a.probability);
}

/** The prediction as the server would have given it at this threshold: what "Copy JSON" copies. */
export function atThreshold(prediction, threshold, counts) {
  if (prediction.task !== "detect") return withoutIds(prediction);
  const detections = aboveThreshold(prediction.detections, threshold);
  return {
    ...withoutIds({ ...prediction, detections }),
    count: totalCount(detections, counts),
    thresholds: { ...prediction.thresholds, confidence: threshold },
  };
}

function withoutIds(prediction) {
  if (!prediction.detections?.length) return prediction;
  return { ...prediction, detections: prediction.detections.map(({ id, ...detection }) => detection) };
}
