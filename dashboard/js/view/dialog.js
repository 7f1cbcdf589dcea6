/** Dialogs that wait for the visitor. */

import { messages } from "../i18n.js";
import { html } from "./dom.js";

/** Whether the visitor said yes to `question`, before something is changed that others notice. */
export async function confirmDialog(question, yes, no) {
  const accept = html("button", { type: "button", class: "button primary", "data-part": "yes" }, yes);
  const cancel = html("button", { type: "button", class: "button", autofocus: true }, no);
  const { dialog, closed } = open(question, html("p", {}, question), html("div", { class: "row" }, accept, cancel));
  accept.addEventListener("click", () => dialog.close("yes"));
  cancel.addEventListener("click", () => dialog.close(""));
  return (await closed) === "yes";
}

/**
 * The API key that the visitor typed; empty for none.
 *
 * @param wasRefused whether the server did not accept the key before.
 * @param isValid(key) whether it can be sent at all.
 */
export function keyDialog({ wasRefused, isValid }) {
  const text = messages.key;
  const input = html("input", { type: "password", autocomplete: "off", required: true });
  const message = html("p", { class: "says alert", role: "alert" });
  const cancel = html("button", { type: "button", class: "button" }, text.cancel);
  const form = html(
    "form",
    { class: "key-form" },
    html("h2", {}, text.title),
    html("p", {}, wasRefused ? text.wrong : text.detail),
    html("label", { class: "field" }, text.label, input),
    message,
    html("div", { class: "row" }, html("button", { class: "button primary" }, text.use), cancel),
  );
  const { dialog, closed } = open(text.title, form);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const key = input.value.trim();
    if (isValid(key)) dialog.close(key);
    else message.textContent = text.letters;
  });
  cancel.addEventListener("click", () => dialog.close(""));
  return closed;
}

/** Shows a modal dialog; `closed` gives its return value. Escape closes it too, with an empty one. */
function open(label, ...children) {
  const dialog = html("dialog", { "aria-label": label }, ...children);
  document.body.append(dialog);
  dialog.showModal();
  const closed = new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue);
    });
  });
  return { dialog, closed };
}
