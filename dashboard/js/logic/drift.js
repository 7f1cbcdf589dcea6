/** What the monitor says, in the order and the shapes in which it is shown. */

/** What needs eyes first comes first. */
const ORDER = ["changed", "too few", "steady", "gathering"];
/** Words of a feature that are named; the others are counted together. */
const MOST_WORDS = 6;

/** A stream's name, for elements and comparisons. */
export function streamKey({ model, version, source }) {
  return JSON.stringify([model, version, source]);
}

/**
 * The streams with what is known of each.
 *
 * @param told the answer of /verdicts.
 * @returns {key, model, version, source, state, verdict (null before the first), rows, needed}: of a stream that gathers,
 *   rows that wait for its next verdict; null where none do.
 */
export function streamsOf({ verdicts, gathering }) {
  const waiting = new Map(gathering.map((one) => [streamKey(one), one]));
  const judged = verdicts.map((verdict) => stream(verdict, verdict.verdict, verdict, waiting.get(streamKey(verdict))));
  const known = new Set(judged.map(({ key }) => key));
  const others = gathering.filter((one) => !known.has(streamKey(one))).map((one) => stream(one, "gathering", null, one));
  return [...judged, ...others].sort((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state));
}

function stream({ model, version, source }, state, verdict, gathers) {
  return { key: streamKey({ model, version, source }), model, version, source, state, verdict, rows: gathers?.rows ?? null, needed: gathers?.needed ?? null };
}

/** Features that changed, those that differ in this window alone, and all others, each in the order of the verdict. */
export function sortFeatures(verdict) {
  const { features } = verdict;
  return {
    changed: features.filter(({ changed }) => changed),
    once: features.filter(({ changed, differs }) => differs && !changed),
    same: features.filter(({ changed, differs }) => !differs && !changed),
  };
}

/** Since when the newest verdict has been the same, and how many in a row: {verdict, since, count}; null without any. */
export function streak(history) {
  const newest = history.at(-1)?.verdict;
  if (!newest) return null;
  const other = history.findLastIndex(({ verdict }) => verdict !== newest);
  return { verdict: newest, since: history[other + 1].at, count: history.length - other - 1 };
}

/**
 * A histogram as columns in a drawing of this size; the highest reaches to the top.
 *
 * @returns [{x, width, then: {y, height}, now: {y, height}}]
 */
export function histogramColumns({ edges, then, now }, { width, height }) {
  const top = Math.max(...then, ...now) || 1;
  const [low, high] = [edges[0], edges.at(-1)];
  const across = (value) => ((value - low) / (high - low || 1)) * width;
  const up = (part) => ({ y: round(height * (1 - part / top)), height: round((height * part) / top) });
  return then.map((part, place) => ({
    x: round(across(edges[place])),
    width: round(across(edges[place + 1]) - across(edges[place])),
    then: up(part),
    now: up(now[place]),
  }));
}

/**
 * Parts of words, then and now, the ones that moved most first.
 *
 * @returns [{name, then, now}]; the last one, named null, is all that are not shown by themselves.
 */
export function wordParts({ then, now }) {
  const names = [...new Set([...Object.keys(then), ...Object.keys(now)])];
  const parts = names.map((name) => ({ name, then: then[name] ?? 0, now: now[name] ?? 0 }));
  parts.sort((a, b) => Math.abs(b.now - b.then) - Math.abs(a.now - a.then) || b.then - a.then);
  const shown = parts.slice(0, parts.length > MOST_WORDS ? MOST_WORDS - 1 : MOST_WORDS);
  const rest = parts.slice(shown.length);
  const sum = (side) => rest.reduce((total, part) => total + part[side], 0);
  return rest.length ? [...shown, { name: null, then: sum("then"), now: sum("now") }] : shown;
}

/** Points of a line against hours or days before now: {points: [[x, y]], unit: "hours" | "days"}. */
export function beforeNow(points, value, now) {
  const hours = points.map(({ at }) => (Date.parse(at) - now) / 3_600_000);
  const unit = hours.length && hours[0] < -72 ? "days" : "hours";
  const scale = unit === "days" ? 24 : 1;
  return { unit, points: points.map((point, place) => [hours[place] / scale, value(point)]) };
}

/**
 * What has changed, in a sentence, from the verdict's figures: the monitor says it in English alone.
 *
 * @param feature of a verdict, one that differs.
 * @param words lessMore (feature → [sentence if less, sentence if more]) and functions that put sentences together.
 */
export function sayChange(feature, words) {
  const { kind, statistic, value, then, now } = feature;
  if (kind === "category") return sayWords(feature, words);
  const gap = feature.now_missing - feature.then_missing;
  if (Math.abs(gap) >= Math.max(0.02, Math.abs(value) / 2)) return words.missing(words.name(feature.name), feature.now_missing, feature.then_missing);
  const known = words.lessMore[feature.name];
  if (statistic === "rows above" || statistic === "rows below") return words.beyond(value, known?.[Number(statistic === "rows above")], words.name(feature.name), statistic === "rows above");
  if (then === null || now === null || then === now) return words.otherwise(words.name(feature.name));
  return words.moved(known?.[Number(now > then)], words.name(feature.name), now > then);
}

function sayWords({ name, then, now }, words) {
  const [most] = wordParts({ then, now });
  return words.comes(words.word(name, most.name), most.now > most.then, most.now, most.then);
}

function round(value) {
  return Math.round(value * 10) / 10;
}
