/** The sign in the header that this server keeps pictures, for as long as it does. */

import { messages } from "../i18n.js";
import { byPart } from "./dom.js";

export function createCaptureSign() {
  const root = byPart("capture");
  const text = byPart("capture-text");
  text.textContent = messages.review.sign;

  return function render({ listing }) {
    const mode = listing?.capture ?? "off";
    root.hidden = mode === "off";
    root.title = messages.review.signTitle(mode);
  };
}
