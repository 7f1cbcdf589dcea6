/** The boxes over the picture: drawn anew when detections or size change, restyled when one is hovered. */

import { percent } from "../logic/format.js";
import { paintOrder, snap, toFrame } from "../logic/geometry.js";
import { placeLabels } from "../logic/labels.js";
import { hue, svg } from "./dom.js";

const STROKE = 2;
const LABEL = { height: 20, padding: 6 };
/** Above this many boxes, only the hovered one has its label: more would hide the picture. */
const MAX_LABELS = 30;

/**
 * @param root the empty <svg> that lies over the picture.
 * @param on {hover(id or null), select(id)}.
 */
export function createOverlay(root, on) {
  root.addEventListener("pointerover", (event) => on.hover(idOf(event)));
  root.addEventListener("pointerleave", () => on.hover(null));
  root.addEventListener("click", (event) => idOf(event) !== null && on.select(idOf(event)));

  return {
    /** `isCounted(detection)` says whether a box counts; those that do not are dashed. */
    draw(detections, image, frame, isCounted) {
      const ratio = window.devicePixelRatio || 1;
      root.classList.toggle("crowded", detections.length > MAX_LABELS);
      const rects = detections.map((detection) => snap(toFrame(detection.box, image, frame), frame, ratio, STROKE));
      const groups = detections.map((detection, place) => box(detection, rects[place], isCounted(detection)));
      root.replaceChildren(...paintOrder(rects).map((place) => groups[place]));
      label(groups, detections, rects, frame);
    },

    highlight(id) {
      root.classList.toggle("has-active", id !== null);
      for (const group of root.children) group.classList.toggle("active", group.dataset.id === String(id));
    },

    clear: () => root.replaceChildren(),
  };
}

function idOf(event) {
  const id = event.target.closest?.("[data-id]")?.dataset.id;
  return id === undefined ? null : Number(id);
}

function box(detection, { stroke, seam, ...rect }, counted) {
  const kind = `box ${hue(detection.class)}${counted ? "" : " uncounted"}`;
  return svg(
    "g",
    { class: kind, "data-id": detection.id },
    svg("rect", { class: "halo", ...rect, "stroke-width": stroke + 2 * seam }),
    svg("rect", { class: "edge", ...rect, "stroke-width": stroke }),
  );
}

/** Labels are measured in the page before they are placed: their width depends on the visitor's font. */
function label(groups, detections, rects, frame) {
  const texts = detections.map((detection, place) => {
    const text = svg("text", {}, svg("tspan", { class: "name" }, detection.name), ` ${percent(detection.confidence)}`);
    groups[place].append(svg("g", { class: "label" }, svg("rect", { rx: 3 }), text));
    return text;
  });
  const sizes = texts.map((text) => ({
    width: Math.ceil(text.getComputedTextLength()) + 2 * LABEL.padding,
    height: LABEL.height,
  }));
  for (const [place, spot] of placeLabels(rects, sizes, frame).entries()) {
    const [plate] = texts[place].parentNode.children;
    for (const [name, value] of Object.entries(spot)) plate.setAttribute(name, value);
    texts[place].setAttribute("x", spot.x + LABEL.padding);
    texts[place].setAttribute("y", spot.y + LABEL.height / 2);
  }
}
