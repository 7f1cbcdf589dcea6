/** The visitor's API key, kept until this tab is closed. */

import { createKept } from "./kept.js";
import { words } from "./words.js";
import { html } from "./view/dom.js";

/** What a key consists of. Others cannot be sent in a header, or not as a live connection's protocol. */
const LETTERS = /^[A-Za-z0-9._~-]+$/;
const kept = createKept("sessionStorage", "handful.key");
let asking = null;
/** Who said "not now" is not asked again by the page's own polls. */
let declined = false;

/** The key, or null. One that cannot be sent is none, and is forgotten. */
export function storedKey() {
  const key = kept.read();
  if (key === null || LETTERS.test(key)) return key;
  kept.remove();
  return null;
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
  if (key) kept.write(key);
  declined = !key;
  return Boolean(key);
}

function ask(wasRefused) {
  const own = words.key;
  const input = html("input", { type: "password", autocomplete: "off", required: true });
  const says = html("p", { class: "says alert", role: "alert" });
  const cancel = html("button", { type: "button", class: "button" }, own.cancel);
  const form = html(
    "form",
    { class: "key-form" },
    html("h2", {}, own.title),
    html("p", {}, wasRefused ? own.wrong : own.detail),
    html("label", { class: "field" }, own.label, input),
    says,
    html("div", { class: "row" }, html("button", { class: "button primary" }, own.use), cancel),
  );
  const dialog = html("dialog", { "aria-label": own.title }, form);
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((done) => {
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const key = input.value.trim();
      if (LETTERS.test(key)) dialog.close(key);
      else says.textContent = own.letters;
    });
    cancel.addEventListener("click", () => dialog.close(""));
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue);
    });
  });
}
