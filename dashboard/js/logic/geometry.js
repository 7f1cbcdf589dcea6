/**
 * Where things stand on the picture. A rectangle is {x, y, width, height}, a size {width, height}; nothing here knows the page.
 */

/**
 * The largest size of the image's shape that fits into `space`, in whole device pixels.
 *
 * @param most how many times the image's own size it may become.
 * @param ratio device pixels per CSS pixel.
 */
export function fit(image, space, most, ratio) {
  const scale = Math.min(space.width / image.width, space.height / image.height, most);
  const whole = (length) => Math.max(1, Math.floor(length * scale * ratio)) / ratio;
  return { width: whole(image.width), height: whole(image.height) };
}

/** A box [x1, y1, x2, y2] in pixels of the image, as a rectangle on a frame that shows the whole image. */
export function toFrame([x1, y1, x2, y2], image, frame) {
  const across = frame.width / image.width;
  const down = frame.height / image.height;
  return { x: x1 * across, y: y1 * down, width: (x2 - x1) * across, height: (y2 - y1) * down };
}

/**
 * The rectangle whose outline covers whole device pixels, so that no edge is smeared over two of them.
 *
 * @param ratio device pixels per CSS pixel.
 * @param stroke wanted width of the outline, CSS pixels.
 * @returns the rectangle through the middle of the outline, the outline's width as `stroke`, and about one CSS pixel of
 *   whole device pixels as `seam`.
 */
export function snap(rect, frame, ratio, stroke) {
  const thick = Math.max(1, Math.round(stroke * ratio));
  const half = thick / 2;
  const edge = (value, limit) => clamp(Math.round(value * ratio - half) + half, half, Math.floor(limit * ratio) - half);
  const left = edge(rect.x, frame.width);
  const top = edge(rect.y, frame.height);
  const right = edge(rect.x + rect.width, frame.width);
  const bottom = edge(rect.y + rect.height, frame.height);
  return {
    x: left / ratio,
    y: top / ratio,
    width: Math.max(0, right - left) / ratio,
    height: Math.max(0, bottom - top) / ratio,
    stroke: thick / ratio,
    seam: Math.max(1, Math.round(ratio)) / ratio,
  };
}

/** Places in `rects`, the largest rectangle first: painted in this order, a small box is never buried under a large one. */
export function paintOrder(rects) {
  return rects.map((_, place) => place).sort((a, b) => area(rects[b]) - area(rects[a]));
}

export function overlaps(a, b) {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height;
}

export function clamp(value, low, high) {
  return Math.max(low, Math.min(high, value));
}

function area(rect) {
  return rect.width * rect.height;
}
