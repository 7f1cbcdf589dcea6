/** Numbers as people read them, in the page's language. */

import { words } from "../words.js";

const DIGITS = new Intl.NumberFormat(words.locale, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const DAY = new Intl.DateTimeFormat(words.locale, { day: "numeric", month: "short", year: "numeric" });

/** 0.934 → "93%". Only certainty itself is "100%", and only nothing is "0%". */
export function percent(share) {
  const rounded = Math.round(share * 100);
  if (rounded === 100 && share < 1) return words.percent("99");
  if (rounded === 0 && share > 0) return words.percent("<1");
  return words.percent(rounded);
}

/** 0.84 → "0.8 ms", 102.7 → "103 ms", 1240 → "1.24 s". */
export function milliseconds(value) {
  if (value >= 999.5) return `${(value / 1000).toFixed(2)} s`;
  return value >= 9.95 ? `${Math.round(value)} ms` : `${value.toFixed(1)} ms`;
}

/** 31234 → "31 kB". */
export function bytes(value) {
  if (value < 1000) return `${value} B`;
  if (value < 999_500) return `${Math.round(value / 1000)} kB`;
  return `${(value / 1e6).toFixed(1)} MB`;
}

/** {width, height} → "640 × 480". */
export function size({ width, height }) {
  return `${width} × ${height}`;
}

/** 0.9142 → "0.914": metrics are compared, so all of them have as many digits. */
export function metric(value) {
  return DIGITS.format(value);
}

/** ISO 8601 → "21 Nov 2026"; nothing where it is no date. */
export function day(iso) {
  const date = new Date(iso ?? NaN);
  return Number.isNaN(date.getTime()) ? "" : DAY.format(date);
}
