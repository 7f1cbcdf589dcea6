/** Lines of a run's metrics, and what versions reach by class. */

const CLASS = /^test\/class\/(.+)\/([^/]+)$/;
/** Parts of an axis: a tick more at most. */
const MOST_TICKS = 4;
const BEST_KNOWN = ["mAP50", "mAP50_95", "f1", "precision", "recall"];

/**
 * A curve in a drawing of this size: the first step left, the least value at the bottom. The values' axis reaches to its
 * outermost ticks. What never moves lies in the middle.
 *
 * @param points [step, value] pairs; values that are not numbers are left out.
 * @param low a value that the axis reaches down to, such as 0; null for the least of the values.
 * @returns {line: the points of a polyline, x and y: ticks, each {at, value}}; null where no value is a number.
 */
export function plot(points, { width, height, low = null }) {
  const known = points.filter(([, value]) => Number.isFinite(value));
  if (!known.length) return null;
  const steps = range(known.map(([step]) => step));
  const values = range([...known.map(([, value]) => value), ...(low === null ? [] : [low])]);
  const size = tickSize(values, MOST_TICKS);
  const reach = size ? { low: size * Math.floor(values.low / size), high: size * Math.ceil(values.high / size) } : values;
  const across = scale(steps, width);
  const up = scale(reach, height);
  const down = (value) => round(height - up(value));
  return {
    line: known.map(([step, value]) => `${across(step)},${down(value)}`).join(" "),
    x: ticks(steps, Math.max(1, tickSize(steps, MOST_TICKS))).map((value) => ({ at: across(value), value })),
    y: ticks(reach, size).map((value) => ({ at: down(value), value })),
  };
}

/** 1, 2 or 5 times a power of ten, so that so many ticks or one more cover the range; 0 where the range is a point. */
export function tickSize({ low, high }, most) {
  if (high === low) return 0;
  const rough = (high - low) / most;
  const power = 10 ** Math.floor(Math.log10(rough));
  return [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough * 0.999);
}

function ticks({ low, high }, size) {
  if (high === low) return [low];
  const [first, last] = [Math.ceil(low / size - 1e-6), Math.floor(high / size + 1e-6)];
  return Array.from({ length: last - first + 1 }, (_, place) => Number(((first + place) * size).toPrecision(12)));
}

function range(values) {
  return { low: Math.min(...values), high: Math.max(...values) };
}

function scale({ low, high }, length) {
  if (high === low) return () => round(length / 2);
  return (value) => round(((value - low) / (high - low)) * length);
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
