/** Numbers as people read them, in the page's language. */

import { messages } from "../i18n.js";

const DIGITS = new Intl.NumberFormat(messages.locale, { minimumFractionDigits: 3, maximumFractionDigits: 3 });
const ROUND = new Intl.NumberFormat(messages.locale, { maximumFractionDigits: 6 });
const MOMENT = new Intl.DateTimeFormat(messages.locale, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const THREE = new Intl.NumberFormat(messages.locale, { maximumSignificantDigits: 3 });
const DAY = new Intl.DateTimeFormat(messages.locale, { day: "numeric", month: "short", year: "numeric" });

/** 0.934 → "93%". Only certainty itself is "100%", and only nothing is "0%". */
export function percent(share) {
  const rounded = Math.round(share * 100);
  if (rounded === 100 && share < 1) return messages.percent("99");
  if (rounded === 0 && share > 0) return messages.percent("<1");
  return messages.percent(rounded);
}

/** 0.84 → "0.8 ms", 102.7 → "103 ms", 1240 → "1.24 s". */
export function milliseconds(value) {
  if (value >= 999.5) return `${fixed(value / 1000, 2)} s`;
  return value >= 9.95 ? `${Math.round(value)} ms` : `${fixed(value, 1)} ms`;
}

/** 31234 → "31 kB". */
export function bytes(value) {
  if (value < 1000) return `${value} ${messages.byte}`;
  if (value < 999_500) return `${Math.round(value / 1000)} k${messages.byte}`;
  return `${fixed(value / 1e6, 1)} M${messages.byte}`;
}

function fixed(value, digits) {
  return value.toLocaleString(messages.locale, { minimumFractionDigits: digits, maximumFractionDigits: digits, useGrouping: false });
}

/** {width, height} → "640 × 480". */
export function size({ width, height }) {
  return `${width} × ${height}`;
}

/** 0.9142 → "0.914": metrics are compared, so all of them have as many digits. */
export function metric(value) {
  return DIGITS.format(value);
}

/** 0.974 → "0.974", 0.0000123 → "1.2e-5": a learning rate is not nothing. */
export function figure(value) {
  return value !== 0 && Math.abs(value) < 0.0005 ? exponential(value, 1) : metric(value);
}

/** A round number beside an axis: 0.5 → "0.5", 0.0002 → "2e-4", 1500 → "1,500", 2000000 → "2e6". */
export function tick(value) {
  const far = value !== 0 && (Math.abs(value) < 0.001 || Math.abs(value) >= 100_000);
  return far ? exponential(value).replace("+", "") : ROUND.format(value);
}

function exponential(value, digits) {
  return value.toExponential(digits).replace(".", fixed(0.5, 1)[1]);
}

/** ISO 8601 → "21 Nov 2026"; nothing where it is no date. */
export function day(iso) {
  const date = new Date(iso ?? NaN);
  return Number.isNaN(date.getTime()) ? "" : DAY.format(date);
}

/** ISO 8601 → "29 Nov, 12:40", by the clock of whoever looks. */
export function moment(iso) {
  const date = new Date(iso ?? NaN);
  return Number.isNaN(date.getTime()) ? "" : MOMENT.format(date);
}

/** A measured value as people compare it: 0.49817 → "0.498", 1234567 → "1,230,000". */
export function measured(value) {
  return THREE.format(value);
}
