/** The picture with its boxes or its class activation map, as large as the stage allows. */

import { sameValues } from "../app/state.js";
import { messages } from "../i18n.js";
import { fit } from "../logic/geometry.js";
import { aboveThreshold, classCounts, effectiveThreshold, isCounted } from "../logic/prediction.js";
import { createClassMap } from "./class_map.js";
import { byPart } from "./dom.js";
import { createOverlay } from "./overlay.js";

/** Small pictures are enlarged, but not until they are nothing but blur. */
const MAX_SCALE = 3;
const LEAST_HEIGHT = 200;

/**
 * @param app the page's actions.
 * @param onSize called when the picture's size has become known.
 */
export function createPicture(app, onSize) {
  const stage = byPart("stage");
  const frame = byPart("frame");
  const image = byPart("picture");
  const overlay = createOverlay(byPart("overlay"), app);
  const classMap = createClassMap(byPart("class-map"));
  let state = null;
  let shown = null;
  let drawn = null;
  let room = { width: 0, height: 0 };

  image.addEventListener("load", () => settle({ width: image.naturalWidth, height: image.naturalHeight }));
  image.addEventListener("error", () => settle(null));
  new ResizeObserver(layOut).observe(stage);

  function settle(size) {
    shown = size;
    frame.dataset.drawable = String(size !== null);
    layOut();
    onSize();
  }

  /** As the browser says; as the server says if the browser cannot show the picture; null while neither is known. */
  function size() {
    return shown ?? prediction()?.image ?? null;
  }

  /** The prediction, if it is about this picture and not the one before. */
  function prediction() {
    return state && state.request.picture === state.picture ? state.request.prediction : null;
  }

  function layOut() {
    frame.dataset.sized = String(size() !== null);
    if (!size()) return;
    const style = getComputedStyle(stage);
    room = fit(size(), space(style), MAX_SCALE, devicePixelRatio);
    frame.style.width = `${room.width}px`;
    frame.style.height = `${room.height}px`;
    drawn = null;
    draw();
  }

  function space(style) {
    const across = parseFloat(style.paddingLeft) + parseFloat(style.paddingRight);
    const down = parseFloat(style.paddingTop) + parseFloat(style.paddingBottom);
    // If the stage grows with the picture, its present height depends on the picture: the style sheet's maximum counts.
    const height = style.maxHeight === "none" ? stage.clientHeight : parseFloat(style.maxHeight);
    return { width: stage.clientWidth - across, height: Math.max(LEAST_HEIGHT, height - down) };
  }

  function drawMap(given) {
    const explanation = size() && state?.mapOpacity ? given?.explanation : null;
    if (explanation) classMap.draw(explanation, given.image, room, state.mapOpacity);
    else classMap.clear();
  }

  function draw() {
    const given = prediction();
    drawMap(given);
    if (given?.task !== "detect" || !size()) {
      drawn = null;
      overlay.clear();
      return;
    }
    const { modelInfo } = state;
    const counts = classCounts(modelInfo);
    const wanted = { given, modelInfo, threshold: effectiveThreshold(state), ratio: devicePixelRatio };
    if (!sameValues(wanted, drawn)) {
      const detections = aboveThreshold(given.detections, wanted.threshold);
      overlay.draw(detections, given.image, room, (detection) => isCounted(detection, counts));
      drawn = wanted;
    }
    overlay.highlight(state.hovered ?? state.selected);
  }

  return {
    size,
    prediction,
    drawable: () => frame.dataset.drawable !== "false",
    render(next) {
      const fresh = next.picture && next.picture !== state?.picture;
      state = next;
      if (fresh) {
        shown = null;
        frame.dataset.drawable = "true";
        image.alt = messages.pictureAlt(next.picture.name);
        image.src = next.picture.url;
      }
      if (!shown) layOut();
      draw();
    },
  };
}
