/** The ways a picture comes in: dropped anywhere on the page, pasted, chosen, or one of the samples. */

import { Problem, rethrowUnknown } from "../errors.js";
import { messages } from "../i18n.js";
import { byPart } from "./dom.js";

export function createUpload(app) {
  const input = byPart("file");
  for (const button of document.querySelectorAll('[data-action="choose"]')) {
    button.addEventListener("click", () => input.click());
  }
  input.addEventListener("change", () => {
    openFiles(app, input.files);
    // The same file chosen again must count as a change.
    input.value = "";
  });
  document.addEventListener("paste", (event) => {
    if (event.clipboardData?.files.length) openFiles(app, event.clipboardData.files);
  });
  for (const button of byPart("samples").querySelectorAll("button")) {
    button.addEventListener("click", () => openSample(app, button.querySelector("img").src));
  }
  acceptDrops(app);
}

function acceptDrops(app) {
  // Browsers fire dragenter for a child before dragleave for its parent: only a count tells when the page is left.
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
    if (event.dataTransfer.files.length) openFiles(app, event.dataTransfer.files);
    else app.setRemark(messages.noFile);
  });
}

/** Opens the pictures; if there is none, the first file, since only the server knows which formats it reads. */
function openFiles(app, files) {
  const all = [...files];
  const pictures = all.filter((file) => file.type.startsWith("image/"));
  if (all.length) location.hash = "#try";
  app.openPictures(pictures.length ? pictures : all.slice(0, 1));
}

async function openSample(app, url) {
  try {
    app.openPicture(await app.api.fetchSample(url));
  } catch (error) {
    rethrowUnknown(error);
    await app.check();
    // The stage itself says that the server is away.
    if (app.state().server.state === "unreachable") return;
    app.setRemark(error instanceof Problem ? `${messages.failureTitle(error.status)}. ${messages.failureDetail(error.status)}` : messages.brokenTitle);
  }
}
