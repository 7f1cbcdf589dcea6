/** The class activation map as colours, and where on the picture it is strongest. */

import { clamp } from "./geometry.js";

/** From the least evidence to the most: red, green, blue. The server draws with the same (handful_core/vision/drawing.py). */
const STOPS = [
  [255, 221, 64],
  [255, 128, 0],
  [214, 0, 54],
];
/** Pixels that the longer side is interpolated to. Browsers enlarge what is much smaller in visible steps. */
const LONGEST = 128;

/**
 * The map as an image's data: the colour says how strong the evidence is, and where there is none the picture shows through.
 *
 * @param values rows of numbers from 0 to 1.
 * @returns {width, height, data: red, green, blue, opacity of each pixel}.
 */
export function heatPixels(values, longest = LONGEST) {
  const factor = Math.max(1, Math.floor(longest / Math.max(values.length, values[0].length)));
  const rows = enlarged(values, factor);
  const data = rows.flat().flatMap((value) => [...colourAt(value), Math.round(255 * clamp(value, 0, 1))]);
  return { width: rows[0].length, height: rows.length, data };
}

/** The grid with `factor` times as many rows and columns, interpolated between the middles of the cells. */
export function enlarged(values, factor) {
  const columns = values.map((row) => stretched(row, factor, (a, b, share) => a + (b - a) * share));
  return stretched(columns, factor, (a, b, share) => a.map((value, place) => value + (b[place] - value) * share));
}

function stretched(line, factor, mix) {
  return Array.from({ length: line.length * factor }, (_, place) => {
    const along = clamp((place + 0.5) / factor - 0.5, 0, line.length - 1);
    const from = Math.floor(along);
    return mix(line[from], line[Math.min(from + 1, line.length - 1)], along - from);
  });
}

function colourAt(value) {
  const along = clamp(value, 0, 1) * (STOPS.length - 1);
  const from = Math.min(Math.floor(along), STOPS.length - 2);
  return STOPS[from].map((low, channel) => Math.round(low + (STOPS[from + 1][channel] - low) * (along - from)));
}

/**
 * The part of the picture with the strongest evidence: {row, column}, each 0, 1 or 2 for the thirds from top and left; null
 * where there is none.
 */
export function strongestPart({ values, box: [left, top, right, bottom] }, image) {
  const most = Math.max(...values.flat());
  if (!(most > 0)) return null;
  const row = values.findIndex((cells) => cells.includes(most));
  const column = values[row].indexOf(most);
  const x = left + ((column + 0.5) / values[row].length) * (right - left);
  const y = top + ((row + 0.5) / values.length) * (bottom - top);
  return { row: third(y, image.height), column: third(x, image.width) };
}

function third(place, length) {
  return clamp(Math.floor((place / length) * 3), 0, 2);
}
