/** The picture under review with its boxes, which mouse and fingers draw, move and pull. Keys are the view's affair. */

import { messages } from "../i18n.js";
import { add, move, select, setBox } from "../logic/annotation.js";
import { html, hue, svg } from "../view/dom.js";

/** CSS pixels: what a corner looks like, and how near a pointer has to come. */
const CORNER = 5;
const REACH = 16;
/** CSS pixels that a pointer moves before it draws a box. */
const DRAWS = 6;
const text = messages.review;

/**
 * @param change(edit) applies a function from editing to editing; `isStep` false: part of one movement.
 * @param nameOfNew() the class of a box that is drawn.
 */
export function createCanvas({ editing, change, nameOfNew }) {
  const image = html("img", { "data-part": "review-picture", alt: "" });
  const overlay = svg("svg", { class: "review-overlay", "aria-hidden": "true", "data-part": "review-overlay", preserveAspectRatio: "none" });
  const root = html("div", { class: "review-frame", "data-part": "review-frame" }, image, overlay);
  let drag = null;
  let classes = [];

  overlay.addEventListener("pointerdown", (event) => {
    const now = editing();
    if (!now?.annotation.objects || event.button > 0 || drag) return;
    event.preventDefault();
    overlay.setPointerCapture(event.pointerId);
    const at = place(event);
    const corner = cornerAt(now, at);
    const box = corner === null ? boxAt(now, at) : now.selected;
    if (box !== now.selected) change((before) => select(before, box), { isStep: false });
    drag = { id: event.pointerId, at, corner, kind: corner !== null ? "pull" : box === null ? "draw" : "move", from: editing() };
  });

  overlay.addEventListener("pointermove", (event) => {
    if (event.pointerId !== drag?.id) return;
    const at = place(event);
    // Each time from where it began: one movement is one step back.
    if (drag.kind === "move") change(() => move(drag.from, at.x - drag.at.x, at.y - drag.at.y));
    if (drag.kind === "pull") change(() => setBox(drag.from, pulled(drag.from.annotation.objects[drag.from.selected].box, drag.corner, at)));
    if (drag.kind === "draw" && isFar(drag.at, at)) change(() => add(drag.from, nameOfNew(), [drag.at.x, drag.at.y, at.x, at.y]));
  });

  for (const end of ["pointerup", "pointercancel"]) overlay.addEventListener(end, (event) => (drag = event.pointerId === drag?.id ? null : drag));
  new ResizeObserver(() => draw()).observe(overlay);

  /** Picture pixels per CSS pixel. */
  function scale() {
    return (editing()?.size.width ?? 1) / (overlay.clientWidth || 1);
  }

  function place(event) {
    const { left, top, width, height } = overlay.getBoundingClientRect();
    const { size } = editing();
    return { x: ((event.clientX - left) / width) * size.width, y: ((event.clientY - top) / height) * size.height };
  }

  function isFar(one, other) {
    return Math.hypot(one.x - other.x, one.y - other.y) > DRAWS * scale();
  }

  /** The corner of the selected box that is near: "x1 y1" as places in the box; null if none is. */
  function cornerAt({ annotation, selected }, { x, y }) {
    if (selected === null) return null;
    const { box } = annotation.objects[selected];
    const near = [[0, 1], [2, 1], [0, 3], [2, 3]].map((corner) => ({ corner, distance: Math.hypot(box[corner[0]] - x, box[corner[1]] - y) }));
    const best = near.sort((a, b) => a.distance - b.distance)[0];
    return best.distance <= REACH * scale() ? best.corner : null;
  }

  function boxAt({ annotation }, { x, y }) {
    const found = annotation.objects.map(({ box }, index) => ({ box, index })).filter(({ box: [x1, y1, x2, y2] }) => x1 <= x && x <= x2 && y1 <= y && y <= y2);
    // The smallest: it may lie on a larger one.
    return found.sort((a, b) => area(a.box) - area(b.box))[0]?.index ?? null;
  }

  function draw() {
    const now = editing();
    if (!now) return overlay.replaceChildren();
    const unit = scale();
    overlay.setAttribute("viewBox", `0 0 ${now.size.width} ${now.size.height}`);
    const objects = now.annotation.objects ?? [];
    const order = objects.map((_, index) => index).sort((a, b) => (a === now.selected) - (b === now.selected));
    overlay.replaceChildren(...order.map((index) => drawn(objects[index], index, index === now.selected, unit)));
  }

  function drawn({ name, box: [x1, y1, x2, y2] }, index, isSelected, unit) {
    const rect = { x: x1, y: y1, width: x2 - x1, height: y2 - y1 };
    const corners = isSelected ? [[x1, y1], [x2, y1], [x1, y2], [x2, y2]].map(([cx, cy]) => svg("circle", { class: "corner", cx, cy, r: CORNER * unit })) : [];
    const size = 13 * unit;
    const label = `${index + 1} · ${name}`;
    const above = y1 > size * 1.5;
    const where = { x: x1 + 4 * unit, y: above ? y1 - 5 * unit : y1 + size + 2 * unit };
    return svg(
      "g",
      { class: `review-box ${hue(Math.max(0, classes.indexOf(name)))}${isSelected ? " selected" : ""}` },
      svg("rect", { class: "halo", ...rect }),
      svg("rect", { class: "edge", ...rect }),
      svg("text", { ...where, "font-size": size }, label),
      ...corners,
    );
  }

  return {
    root,
    draw,
    /** Shows a picture; resolves when it can be seen. */
    async show(picture, url, names) {
      classes = names;
      root.style.setProperty("--shape", picture.width / picture.height);
      image.alt = text.pictureOf(picture);
      image.src = url;
      draw();
      await image.decode().catch(() => {});
    },
  };
}

function pulled(box, [across, down], { x, y }) {
  const moved = [...box];
  moved[across] = x;
  moved[down] = y;
  return moved;
}

function area([x1, y1, x2, y2]) {
  return (x2 - x1) * (y2 - y1);
}

