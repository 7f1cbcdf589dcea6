/** The pictures of this visit, the newest first. */

/** Each entry holds its picture in memory. */
export const MAX_ENTRIES = 24;

/**
 * The history with one more entry; an entry of the same picture takes its former place.
 *
 * @returns {history, gone: entries that fell out}.
 */
export function addToHistory(history, entry) {
  const known = history.some(({ picture }) => picture === entry.picture);
  const next = known ? history.map((one) => (one.picture === entry.picture ? entry : one)) : [entry, ...history];
  return { history: next.slice(0, MAX_ENTRIES), gone: next.slice(MAX_ENTRIES) };
}
