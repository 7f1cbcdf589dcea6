/** The visitor's API key, kept until this tab is closed. */

import { words } from "./words.js";
import { html } from "./view/dom.js";

const STORED = "handful.key";
let asking = null;
/** Who said "not now" is not asked again by the page's own polls. */
let declined = false;

export function storedKey() {
  return sessionStorage.getItem(STORED);
}

/** Forgets that the visitor wanted no key: what comes next is the visitor's own wish. */
export function askAgain() {
  declined = false;
}

/**
 * Asks for a key, once for all requests that wait for it.
 *
 * @param refused the key that was not accepted, if any.
 * @returns whether there is another key now.
 */
export async function askKey(refused) {
  if (storedKey() !== refused) return true;
  if (declined) return false;
  asking ??= ask(refused !== null).finally(() => (asking = null));
  const key = await asking;
  if (key) sessionStorage.setItem(STORED, key);
  declined = !key;
  return Boolean(key);
}

function ask(wasRefused) {
  const own = words.key;
  const input = html("input", { type: "password", autocomplete: "off", required: true });
  const cancel = html("button", { type: "button", class: "button" }, own.cancel);
  const form = html(
    "form",
    { class: "key-form" },
    html("h2", {}, own.title),
    html("p", {}, wasRefused ? own.wrong : own.detail),
    html("label", { class: "field" }, own.label, input),
    html("div", { class: "row" }, html("button", { class: "button primary" }, own.use), cancel),
  );
  const dialog = html("dialog", { "aria-label": own.title }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      dialog.close(input.value.trim());
    });
    cancel.addEventListener("click", () => dialog.close(""));
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue);
    });
  });
}
