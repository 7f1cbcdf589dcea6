/** A line in a drawing with axes. */

import { plot } from "../logic/curves.js";
import { tick } from "../logic/format.js";
import { svg } from "./dom.js";

/** The drawing, and in it the plot: the ticks' labels lie left of it and below. */
const SIZE = { width: 280, height: 150 };
const PLOT = { left: 58, top: 8, width: 208, height: 104 };

/**
 * @param points [x, y] pairs; values that are not numbers are left out.
 * @param label what a screen reader says.
 * @param across the name of the axis across.
 * @param low a value that the axis upwards reaches down to; null for the least.
 * @returns an <svg>; null where no value is a number.
 */
export function lineChart(points, { label, across, low = null }) {
  const drawn = plot(points, { ...PLOT, low });
  if (!drawn) return null;
  const inside = svg("g", { transform: `translate(${PLOT.left} ${PLOT.top})` }, ...axes(drawn, across), svg("polyline", { points: drawn.line }));
  return svg("svg", { viewBox: `0 0 ${SIZE.width} ${SIZE.height}`, role: "img", "aria-label": label }, inside);
}

/** Ticks with their labels, a line across for each value, and what the steps are. */
function axes({ x, y }, across) {
  const { width, height } = PLOT;
  const values = y.flatMap(({ at, value }) => [
    svg("line", { class: "grid", x1: 0, x2: width, y1: at, y2: at }),
    svg("text", { class: "y", x: -7, y: at, dy: "0.35em", "text-anchor": "end" }, tick(value)),
  ]);
  const steps = x.flatMap(({ at, value }) => [
    svg("line", { class: "axis", x1: at, x2: at, y1: height, y2: height + 4 }),
    svg("text", { class: "x", x: at, y: height + 17, "text-anchor": "middle" }, tick(value)),
  ]);
  const name = svg("text", { class: "of", x: width / 2, y: height + 34, "text-anchor": "middle" }, across);
  return [...values, svg("line", { class: "axis", x1: 0, x2: width, y1: height, y2: height }), ...steps, name];
}
