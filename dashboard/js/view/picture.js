/** The picture with its boxes, as large as the stage allows. */

import { counts, limit, visible, worths } from "../logic/answer.js";
import { fit } from "../logic/geometry.js";
import { words } from "../words.js";
import { part } from "./dom.js";
import { createOverlay } from "./overlay.js";

/** Small pictures are enlarged, but not until they are nothing but blur. */
const MAX_SCALE = 3;
const LEAST_HEIGHT = 200;

/**
 * @param app the page's actions.
 * @param onSize called when the picture's size has become known.
 */
export function createPicture(app, onSize) {
  const stage = part("stage");
  const frame = part("frame");
  const image = part("picture");
  const overlay = createOverlay(part("overlay"), app);
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

  /** The browser's word; the server's where the browser cannot show the picture; null while nobody knows. */
  function size() {
    return shown ?? answer()?.image ?? null;
  }

  /** The answer, if it is about this picture and not the one before. */
  function answer() {
    return state && state.run.picture === state.picture ? state.run.answer : null;
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
    // Where the style sheet lets the stage grow with the picture, it says how far; its present height says nothing then.
    const height = style.maxHeight === "none" ? stage.clientHeight : parseFloat(style.maxHeight);
    return { width: stage.clientWidth - across, height: Math.max(LEAST_HEIGHT, height - down) };
  }

  function draw() {
    const given = answer();
    if (given?.task !== "detect" || !size()) {
      drawn = null;
      overlay.clear();
      return;
    }
    const { traits } = state;
    const wanted = { given, traits, limit: limit(state), ratio: devicePixelRatio };
    if (Object.keys(wanted).some((key) => wanted[key] !== drawn?.[key])) {
      overlay.draw(visible(given.detections, wanted.limit), given.image, room, counted(traits));
      drawn = wanted;
    }
    overlay.highlight(state.pointed ?? state.held);
  }

  return {
    size,
    answer,
    drawable: () => frame.dataset.drawable !== "false",
    render(next) {
      const fresh = next.picture && next.picture !== state?.picture;
      state = next;
      if (fresh) {
        shown = null;
        frame.dataset.drawable = "true";
        image.alt = words.pictureAlt(next.picture.name);
        image.src = next.picture.url;
      }
      if (!shown) layOut();
      draw();
    },
  };
}

/** Tells whether a detection adds to the count; all do where the model counts nothing at all. */
function counted(traits) {
  const worth = worths(traits);
  return counts(worth) ? (found) => (worth.get(found.class) ?? null) !== null : () => true;
}
