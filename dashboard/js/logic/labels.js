/** Finds a place for each box's label: near its box, inside the picture, and off the other labels where there is room. */

import { clamp, overlaps } from "./geometry.js";

/**
 * @param rects the boxes' rectangles, the most important first: it gets the best place.
 * @param sizes the labels' sizes, in the same order.
 * @returns the labels' rectangles, in the same order.
 */
export function placeLabels(rects, sizes, frame) {
  const placed = [];
  for (const [index, rect] of rects.entries()) {
    const choices = candidates(rect, sizes[index]).map((choice) => inside(choice, frame));
    const free = choices.find((choice) => !placed.some((other) => overlaps(choice, other)));
    placed.push(free ?? choices[0]);
  }
  return placed;
}

/** Above the box, inside its top, below it, inside its bottom; each at the left, then at the right. */
function candidates(rect, { width, height }) {
  const right = rect.x + rect.width - width;
  const bottom = rect.y + rect.height;
  const rows = [rect.y - height, rect.y, bottom, bottom - height];
  return rows.flatMap((y) => [rect.x, right].map((x) => ({ x, y, width, height })));
}

function inside(label, frame) {
  return {
    ...label,
    x: clamp(label.x, 0, Math.max(0, frame.width - label.width)),
    y: clamp(label.y, 0, Math.max(0, frame.height - label.height)),
  };
}
