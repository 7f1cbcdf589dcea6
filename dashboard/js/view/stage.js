/** The place where the picture lies: which face it shows, and what is said below it. */

import { bytes, size } from "../logic/format.js";
import { faceOf } from "../logic/stage.js";
import { words } from "../words.js";
import { part } from "./dom.js";
import { createNotice } from "./notice.js";
import { createPicture } from "./picture.js";

export function createStage(app) {
  const stage = part("stage");
  const caption = part("caption");
  const slow = part("slow");
  const notice = createNotice(app);
  const picture = createPicture(app, () => describe());
  let state = null;

  /** Of a picture that is shown again, the answer may be another version's than the one that is chosen now. */
  function factsOf({ name, file }) {
    const answer = picture.answer();
    const by = answer && words.answeredBy(answer.model, answer.version);
    return [name, picture.size() && size(picture.size()), bytes(file.size), by].filter(Boolean);
  }

  function describe() {
    const facts = state.picture ? factsOf(state.picture) : [];
    const remarks = [state.remark, state.run.answer && !picture.drawable() ? words.undrawable : ""];
    part("facts").textContent = facts.join(" · ");
    part("remark").textContent = remarks.filter(Boolean).join(" ");
    caption.hidden = !facts.length && !state.remark;
  }

  /** A button that goes with its face leaves the keyboard to the one that brings the next picture. */
  function passFocusOn(held) {
    if (stage.contains(held) && !held.checkVisibility()) part("another").focus({ preventScroll: true });
  }

  return function render(next) {
    state = next;
    const face = faceOf(state);
    const held = document.activeElement;
    stage.dataset.face = face;
    stage.setAttribute("aria-busy", String(face === "busy"));
    slow.hidden = !state.run.slow;
    picture.render(state);
    notice(state, face);
    describe();
    passFocusOn(held);
  };
}
