/** Asks before something is changed that others notice. */

import { html } from "./dom.js";

/** Whether the visitor said yes to `question`. */
export function confirmed(question, yes, no) {
  const accept = html("button", { type: "button", class: "button primary", "data-part": "yes" }, yes);
  const cancel = html("button", { type: "button", class: "button", autofocus: true }, no);
  const dialog = html("dialog", { "aria-label": question }, html("p", {}, question), html("div", { class: "row" }, accept, cancel));
  document.body.append(dialog);
  dialog.showModal();
  accept.addEventListener("click", () => dialog.close("yes"));
  cancel.addEventListener("click", () => dialog.close(""));
  return new Promise((done) => {
    dialog.addEventListener("close", () => {
      dialog.remove();
      done(dialog.returnValue === "yes");
    });
  });
}
