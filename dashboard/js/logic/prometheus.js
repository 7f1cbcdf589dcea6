/** The server's metrics, read from Prometheus' text format. */

const LINE = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/;
const LABEL = /(\w+)="((?:[^"\\]|\\.)*)"/g;

/** Every sample as {name, labels, value}. */
export function parseMetrics(text) {
  return text
    .split("\n")
    .filter((line) => line && !line.startsWith("#"))
    .map((line) => LINE.exec(line))
    .filter(Boolean)
    .map(([, name, labels, value]) => ({ name, labels: labelsOf(labels ?? ""), value: number(value) }));
}

function labelsOf(text) {
  const unescape = (value) => value.replace(/\\(.)/g, (_, letter) => (letter === "n" ? "\n" : letter));
  return Object.fromEntries([...text.matchAll(LABEL)].map(([, name, value]) => [name, unescape(value)]));
}

function number(text) {
  return text === "+Inf" ? Infinity : Number(text);
}

/** The sum of a metric over all its labels; 0 where there is none. */
export function sum(all, name, labels = {}) {
  return filterSamples(all, name, labels).reduce((total, { value }) => total + value, 0);
}

/** The samples of this name that have these labels. */
export function filterSamples(all, name, labels = {}) {
  const wanted = Object.entries(labels);
  return all.filter((one) => one.name === name && wanted.every(([key, value]) => one.labels[key] === value));
}

/** Sums by a label's values, the largest first: [[value, sum]]. */
export function sumByLabel(all, name, ...keys) {
  const sums = new Map();
  for (const { labels, value } of filterSamples(all, name)) {
    const key = keys.map((one) => labels[one] ?? "").filter(Boolean).join(" · ");
    sums.set(key, (sums.get(key) ?? 0) + value);
  }
  return [...sums].filter(([, value]) => value > 0).sort(([, a], [, b]) => b - a);
}

/**
 * The statistics of a histogram of seconds, in milliseconds: {count, mean, median, slow}; null while it is empty. Buckets
 * hold no single values: the median and the 95th percentile (`slow`) are the upper edges of their buckets.
 */
export function histogramStats(all, name, labels) {
  const count = sum(all, `${name}_count`, labels);
  if (!count) return null;
  const edges = new Map();
  for (const { labels: own, value } of filterSamples(all, `${name}_bucket`, labels)) {
    const edge = number(own.le);
    edges.set(edge, (edges.get(edge) ?? 0) + value);
  }
  const buckets = [...edges].sort(([a], [b]) => a - b);
  const edge = (share) => (buckets.find(([, upTo]) => upTo >= share * count)?.[0] ?? Infinity) * 1000;
  return { count, mean: (sum(all, `${name}_sum`, labels) / count) * 1000, median: edge(0.5), slow: edge(0.95) };
}
