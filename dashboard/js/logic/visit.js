/** What was looked at during this visit, the newest first. */

/** As many are kept: each holds its picture in memory. */
export const MOST = 24;

/**
 * The visit with one more entry; an entry of the same picture takes its former place.
 *
 * @returns {visit, gone: entries that fell out}.
 */
export function remember(visit, entry) {
  const known = visit.some(({ picture }) => picture === entry.picture);
  const next = known ? visit.map((one) => (one.picture === entry.picture ? entry : one)) : [entry, ...visit];
  return { visit: next.slice(0, MOST), gone: next.slice(MOST) };
}
