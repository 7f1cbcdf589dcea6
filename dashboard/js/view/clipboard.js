/** Copying to the clipboard, with the button saying that it worked. */

import { messages } from "../i18n.js";

const SAYS_SO_FOR = 2500;

/** Makes `button` copy what `text()` gives; `label` is the element inside it that says so. */
export function copyOnClick(button, label, text) {
  const own = label.textContent;
  let timer = null;
  button.addEventListener("click", async () => {
    const copied = await copy(text());
    label.textContent = copied ? messages.copied : messages.copyFailed;
    button.classList.toggle("done", copied);
    clearTimeout(timer);
    timer = setTimeout(() => {
      label.textContent = own;
      button.classList.remove("done");
    }, SAYS_SO_FOR);
  });
}

/** Whether the text is on the clipboard now. */
async function copy(text) {
  // Browsers give the clipboard to secure pages only; a server in one's own network is often plain HTTP.
  if (!navigator.clipboard) return copyBySelection(text);
  return navigator.clipboard.writeText(text).then(
    () => true,
    () => copyBySelection(text),
  );
}

function copyBySelection(text) {
  const focused = document.activeElement;
  const area = document.createElement("textarea");
  area.className = "visually-hidden";
  area.value = text;
  document.body.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  focused?.focus({ preventScroll: true });
  return copied;
}
