/** The ways a picture comes in: dropped anywhere on the page, pasted, or chosen. */

import { words } from "../words.js";
import { part } from "./dom.js";

export function createIntake(app) {
  const input = part("file");
  for (const button of document.querySelectorAll('[data-action="choose"]')) {
    button.addEventListener("click", () => input.click());
  }
  input.addEventListener("change", () => {
    take(app, input.files);
    // The same file chosen again must count as a change.
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) take(app, event.clipboardData.files);
  });
  acceptDrops(app);
}

function acceptDrops(app) {
  // Entering a child fires before leaving its parent: counting is the only way to know when all is left.
  let depth = 0;
  const mark = () => document.documentElement.classList.toggle("dragging", depth > 0);

  document.addEventListener("dragenter", (event) => {
    event.preventDefault();
    depth += 1;
    mark();
  });
  document.addEventListener("dragleave", () => {
    depth = Math.max(0, depth - 1);
    mark();
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    event.dataTransfer.dropEffect = "copy";
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    mark();
    if (event.dataTransfer.files.length) take(app, event.dataTransfer.files);
    else app.say(words.noFile);
  });
}

/** Any file goes to the server: which it reads is the server's to say. Beside pictures, what else was dropped is left. */
function take(app, files) {
  const all = [...files];
  const pictures = all.filter((file) => file.type.startsWith("image/"));
  if (all.length) location.hash = "#try";
  app.lookAll(pictures.length ? pictures : all.slice(0, 1));
}
