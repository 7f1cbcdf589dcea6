/**
 * What a picture shows, while somebody corrects it: boxes or one class, and every step back.
 *
 * An annotation is {objects: [{name, box: [x1, y1, x2, y2]}]} or {name}, in pixels of the picture. An editing is
 * {size: {width, height}, annotation, selected, past, original}; every change gives a new one.
 */

import { clamp } from "./geometry.js";

/** Pixels that a box has at least in each direction. */
export const LEAST = 4;
const MOST_STEPS = 100;

/** The model's answer as an annotation: what a reviewer starts from. */
export function proposalOf(picture) {
  if (picture.review && picture.review.status !== "not usable") return picture.review.annotation;
  if (picture.task === "classify") return { name: picture.answer.probabilities[0]?.name ?? "" };
  return { objects: picture.answer.objects.map(({ name, box }) => ({ name, box })) };
}

/** How a picture's editing begins; the first box is selected. */
export function begin(picture) {
  const annotation = proposalOf(picture);
  return { size: { width: picture.width, height: picture.height }, annotation, original: annotation, selected: annotation.objects?.length ? 0 : null, past: [] };
}

export function isChanged({ annotation, original }) {
  return JSON.stringify(annotation) !== JSON.stringify(original);
}

/** Takes the last change back. */
export function undo(editing) {
  if (!editing.past.length) return editing;
  const { annotation, selected } = editing.past.at(-1);
  return { ...editing, annotation, selected, past: editing.past.slice(0, -1) };
}

/** Selects a box by its place, or none with null. */
export function select(editing, place) {
  const count = editing.annotation.objects?.length ?? 0;
  return { ...editing, selected: place === null || place >= count || place < 0 ? null : place };
}

/** Selects the next box, or the one before with -1. */
export function selectNext(editing, step) {
  const count = editing.annotation.objects?.length ?? 0;
  if (!count) return editing;
  const from = editing.selected ?? (step > 0 ? -1 : count);
  return { ...editing, selected: (from + step + count) % count };
}

/** Gives the selected box a class, or the picture where it has one class. */
export function rename(editing, name) {
  if (editing.annotation.objects === undefined) return changed(editing, { name }, null);
  if (editing.selected === null) return editing;
  return withObject(editing, { ...current(editing), name });
}

/** Moves the selected box by pixels, as far as the picture goes. */
export function move(editing, dx, dy) {
  if (editing.selected === null) return editing;
  const [x1, y1, x2, y2] = current(editing).box;
  const across = clamp(dx, -x1, editing.size.width - x2);
  const down = clamp(dy, -y1, editing.size.height - y2);
  return withBox(editing, [x1 + across, y1 + down, x2 + across, y2 + down]);
}

/** Moves the selected box's right and lower edge by pixels. */
export function stretch(editing, dx, dy) {
  if (editing.selected === null) return editing;
  const [x1, y1, x2, y2] = current(editing).box;
  return withBox(editing, fitBox([x1, y1, Math.max(x1 + LEAST, x2 + dx), Math.max(y1 + LEAST, y2 + dy)], editing.size));
}

/** Gives the selected box these edges, whichever corner was pulled over which. */
export function setBox(editing, box) {
  return editing.selected === null ? editing : withBox(editing, fitBox(box, editing.size));
}

/** Adds a box and selects it. */
export function add(editing, name, box) {
  const objects = [...editing.annotation.objects, { name, box: fitBox(box, editing.size) }];
  return changed(editing, { objects }, objects.length - 1);
}

/** A box in the middle, for those who have no pointer. */
export function middleBox({ width, height }) {
  return [width * 0.35, height * 0.35, width * 0.65, height * 0.65];
}

/** Removes the selected box; the next one is selected. */
export function remove(editing) {
  if (editing.selected === null) return editing;
  const objects = editing.annotation.objects.filter((_, place) => place !== editing.selected);
  return changed(editing, { objects }, objects.length ? Math.min(editing.selected, objects.length - 1) : null);
}

/** Edges in order, within the picture, with at least so many pixels between them. */
export function fitBox([x1, y1, x2, y2], { width, height }) {
  const [left, right] = fitEdges(x1, x2, width);
  const [top, bottom] = fitEdges(y1, y2, height);
  return [left, top, right, bottom].map((edge) => Math.round(edge * 10) / 10);
}

/** What the key with this digit stands for: 1 the first class, 0 the tenth. */
export function classOfDigit(digit, classes) {
  return classes[(Number(digit) + 9) % 10] ?? null;
}

/** The classes a person may choose from: the model's, and whatever stands in the picture. */
export function classesOf(known, picture) {
  const shown = picture.task === "classify" ? picture.answer.probabilities.map(({ name }) => name) : picture.answer.objects.map(({ name }) => name);
  const reviewed = picture.review?.annotation.objects?.map(({ name }) => name) ?? [];
  return [...new Set([...known, ...shown, ...reviewed])];
}

function fitEdges(one, other, most) {
  const low = clamp(Math.min(one, other), 0, most - Math.min(LEAST, most));
  return [low, clamp(Math.max(one, other), Math.min(most, low + LEAST), most)];
}

function current({ annotation, selected }) {
  return annotation.objects[selected];
}

function withBox(editing, box) {
  return withObject(editing, { ...current(editing), box });
}

function withObject(editing, object) {
  const objects = editing.annotation.objects.map((one, place) => (place === editing.selected ? object : one));
  return changed(editing, { objects }, editing.selected);
}

function changed(editing, annotation, selected) {
  if (JSON.stringify(annotation) === JSON.stringify(editing.annotation)) return editing;
  const past = [...editing.past, { annotation: editing.annotation, selected: editing.selected }].slice(-MOST_STEPS);
  return { ...editing, annotation, selected, past };
}
