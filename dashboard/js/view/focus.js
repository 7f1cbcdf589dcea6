/** Redraws lists that somebody is working with, without losing the keyboard's place in them. */

const FOCUSABLE = "button:not([disabled]), select:not([disabled]), a[href], summary, [tabindex]";

/**
 * Replaces the children of `root`. If the focus was in it, it goes to the element with the same `data-key`; else to one of
 * the same group (the key before the last "/"); else to the one at the same place; else to what `otherwise` gives. Regions
 * keep how far they are scrolled, and what was opened (a <details> whose summary has a `data-key`) stays open.
 */
export function replaceKeepingFocus(root, children, otherwise = () => null) {
  const focused = root.contains(document.activeElement) ? document.activeElement : null;
  const place = focused ? all(root).indexOf(focused) : -1;
  const scrolled = new Map(regions(root).map((region) => [region.ariaLabel, region.scrollLeft]));
  const opened = new Set(disclosures(root).filter(({ parentElement }) => parentElement.open).map(({ dataset }) => dataset.key));
  root.replaceChildren(...children);
  for (const summary of disclosures(root)) summary.parentElement.open = opened.has(summary.dataset.key);
  for (const region of regions(root)) region.scrollLeft = scrolled.get(region.ariaLabel) ?? 0;
  if (focused) (successor(root, focused.dataset.key) ?? standingAt(root, place) ?? otherwise())?.focus({ preventScroll: true });
}

function successor(root, key) {
  if (!key) return null;
  const keyed = all(root).filter((element) => element.dataset.key);
  const group = (name) => name.slice(0, name.lastIndexOf("/") + 1);
  const same = keyed.find((element) => element.dataset.key === key);
  return same ?? keyed.find((element) => group(key) && group(element.dataset.key) === group(key)) ?? null;
}

/** The place of the root itself is -1: nothing in it had the focus. */
function standingAt(root, place) {
  return place < 0 ? null : (all(root)[place] ?? all(root).at(-1) ?? null);
}

function all(root) {
  return [...root.querySelectorAll(FOCUSABLE)];
}

function disclosures(root) {
  return [...root.querySelectorAll("summary[data-key]")];
}

function regions(root) {
  return [...root.querySelectorAll("[role=region]")];
}
