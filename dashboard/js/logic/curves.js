/** Lines of a run's metrics, and what versions reach by class. */

const CLASS = /^test\/class\/(.+)\/([^/]+)$/;
const BEST_KNOWN = ["mAP50", "mAP50_95", "f1", "precision", "recall"];

/**
 * The points of a line through [step, value] pairs, for a drawing of this size: the first step left, the least value at
 * the bottom. A line that never moves lies in the middle.
 */
export function polylinePoints(points, { width, height }, margin = 2) {
  const [steps, values] = [points.map(([step]) => step), points.map(([, value]) => value)];
  const across = scale(steps, width, margin);
  const up = scale(values, height, margin);
  return points.map(([step, value]) => `${across(step)},${round(height - up(value))}`).join(" ");
}

function scale(values, length, margin) {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  if (high === low) return () => round(length / 2);
  return (value) => round(margin + ((value - low) / (high - low)) * (length - 2 * margin));
}

function round(value) {
  return Math.round(value * 10) / 10;
}

const QUALITY = /mAP|precision|recall|f1|accuracy|top\d/;

/** Curves worth showing first: quality before losses before the rest. */
export function sortCurves(curves) {
  const rank = (name) => (QUALITY.test(name) ? 0 : name.includes("loss") ? 1 : 2);
  return Object.entries(curves).sort(([a], [b]) => rank(a) - rank(b) || a.localeCompare(b));
}

/**
 * What each version reaches by class.
 *
 * @param runs {version, metrics}, in the order of the columns.
 * @returns {metric, rows: [class, value or null of each version], compared: versions that have such values}; metric null
 *   where none has any.
 */
export function compareClasses(runs) {
  const known = runs.map(({ version, metrics }) => ({ version, found: classMetrics(metrics) }));
  const metric = BEST_KNOWN.find((name) => known.some(({ found }) => found.has(name))) ?? null;
  const having = known.filter(({ found }) => found.has(metric));
  const names = [...new Set(having.flatMap(({ found }) => [...found.get(metric).keys()]))].sort();
  const rows = names.map((name) => [name, ...having.map(({ found }) => found.get(metric).get(name) ?? null)]);
  return { metric, rows, compared: having.map(({ version }) => version) };
}

/** Metric → class → value. */
function classMetrics(metrics) {
  const found = new Map();
  for (const [key, value] of Object.entries(metrics)) {
    const [, name, metric] = CLASS.exec(key) ?? [];
    if (!metric) continue;
    if (!found.has(metric)) found.set(metric, new Map());
    found.get(metric).set(name, value);
  }
  return found;
}
