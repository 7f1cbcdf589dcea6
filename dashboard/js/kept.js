/** A text that the browser keeps for the page. */

/**
 * Where the browser forbids pages to keep anything, the text lasts until the page is left.
 *
 * @param storage "localStorage" or "sessionStorage".
 * @param name what it is kept under.
 */
export function createKept(storage, name) {
  let own = null;

  /** What `action` makes of the storage; null where even to ask for it is forbidden. */
  function allowed(action) {
    try {
      return action(window[storage]);
    } catch (error) {
      if (error.name === "SecurityError") return null;
      throw error;
    }
  }

  return {
    read: () => allowed((kept) => kept.getItem(name)) ?? own,

    /** Whether it outlasts the page. */
    write(text) {
      own = text;
      allowed((kept) => kept.setItem(name, text));
      return allowed((kept) => kept.getItem(name)) === text;
    },

    remove() {
      own = null;
      allowed((kept) => kept.removeItem(name));
    },
  };
}
