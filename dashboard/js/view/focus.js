/** Lists that are drawn anew while somebody works with them: the keyboard's place in them must not be lost. */

const FOCUSABLE = "button:not([disabled]), a[href], [tabindex]";

/**
 * Replaces what is in `root`. Was the focus in it, then it goes to what has the same `data-key` as what had it; where that is
 * gone, to one of the same group (its key before the last "/"); else to what stands in its place; else to what `otherwise`
 * gives. Regions keep how far they are scrolled.
 */
export function refill(root, children, otherwise = () => null) {
  const held = root.contains(document.activeElement) ? document.activeElement : null;
  const place = held ? all(root).indexOf(held) : -1;
  const scrolled = new Map(regions(root).map((region) => [region.ariaLabel, region.scrollLeft]));
  root.replaceChildren(...children);
  for (const region of regions(root)) region.scrollLeft = scrolled.get(region.ariaLabel) ?? 0;
  if (held) (successor(root, held.dataset.key) ?? standingAt(root, place) ?? otherwise())?.focus({ preventScroll: true });
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

function regions(root) {
  return [...root.querySelectorAll("[role=region]")];
}
