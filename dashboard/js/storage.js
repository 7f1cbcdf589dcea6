/** A text that the browser stores for the page. */

/**
 * Where the browser forbids pages to store anything, the text lasts until the page is left.
 *
 * @param storage "localStorage" or "sessionStorage".
 * @param name its key there.
 */
export function createStoredText(storage, name) {
  let fallback = null;

  /** The result of `action` on the storage; null where even reading `window.localStorage` throws. */
  function allowed(action) {
    try {
      return action(window[storage]);
    } catch (error) {
      if (error.name === "SecurityError") return null;
      throw error;
    }
  }

  return {
    read: () => allowed((area) => area.getItem(name)) ?? fallback,

    /** Whether it outlasts the page. */
    write(text) {
      fallback = text;
      allowed((area) => area.setItem(name, text));
      return allowed((area) => area.getItem(name)) === text;
    },

    remove() {
      fallback = null;
      allowed((area) => area.removeItem(name));
    },
  };
}
