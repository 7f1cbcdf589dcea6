/** The visitor's API key, kept until this tab is closed. */

import { createStoredText } from "./storage.js";
import { keyDialog } from "./view/dialog.js";

/** What a key consists of: anything else cannot be sent in a header, or not as the subprotocol of a WebSocket. */
const KEY_PATTERN = /^[A-Za-z0-9._~-]+$/;
const stored = createStoredText("sessionStorage", "handful.key");
let asking = null;
/** After "Not now", the page's own polls do not ask again. */
let declined = false;

/** The key, or null. One that cannot be sent is removed. */
export function storedKey() {
  const key = stored.read();
  if (key === null || KEY_PATTERN.test(key)) return key;
  stored.remove();
  return null;
}

/** Lets the next request ask for a key again: it is the visitor's own wish, not a poll. */
export function allowPrompt() {
  declined = false;
}

/**
 * Asks for a key, once for all requests that wait for it.
 *
 * @param refused the key that was not accepted, if any.
 * @returns whether there is another key now.
 */
export async function promptForKey(refused) {
  if (storedKey() !== refused) return true;
  if (declined) return false;
  asking ??= keyDialog({ wasRefused: refused !== null, isValid: (key) => KEY_PATTERN.test(key) }).finally(() => (asking = null));
  const key = await asking;
  if (key) stored.write(key);
  declined = !key;
  return Boolean(key);
}
