/** The class activation map over a picture: one pixel per value, which the browser enlarges smoothly. */

import { heatPixels } from "../logic/heatmap.js";
import { toFrame } from "../logic/geometry.js";

/** @param canvas lies in the frame that shows the whole picture. */
export function createClassMap(canvas) {
  let shown = null;

  function paint(explanation) {
    const { width, height, data } = heatPixels(explanation.values);
    Object.assign(canvas, { width, height });
    canvas.getContext("2d").putImageData(new ImageData(Uint8ClampedArray.from(data), width, height), 0, 0);
  }

  return {
    /** @param opacity 0 to 1. */
    draw(explanation, image, frame, opacity) {
      if (shown !== explanation) paint(explanation);
      shown = explanation;
      const { x, y, width, height } = toFrame(explanation.box, image, frame);
      Object.assign(canvas.style, { left: `${x}px`, top: `${y}px`, width: `${width}px`, height: `${height}px` });
      canvas.style.setProperty("--opacity", opacity);
      canvas.hidden = false;
    },

    clear() {
      canvas.hidden = true;
      shown = null;
    },
  };
}
