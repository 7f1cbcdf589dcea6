/** The stage, where the picture lies: its view state, and the caption below it. */

import { messages } from "../i18n.js";
import { bytes, size } from "../logic/format.js";
import { viewState } from "../logic/stage.js";
import { byPart } from "./dom.js";
import { createNotice } from "./notice.js";
import { createPicture } from "./picture.js";

export function createStage(app) {
  const stage = byPart("stage");
  const caption = byPart("caption");
  const slow = byPart("slow");
  const notice = createNotice(app);
  const picture = createPicture(app, () => describe());
  let state = null;

  /** A picture of the history may have been predicted by another version than the one chosen now: name it. */
  function factsOf({ name, file }) {
    const prediction = picture.prediction();
    const by = prediction && messages.answeredBy(prediction.model, prediction.version);
    return [name, picture.size() && size(picture.size()), bytes(file.size), by].filter(Boolean);
  }

  function describe() {
    const facts = state.picture ? factsOf(state.picture) : [];
    const captured = { true: messages.review.kept, undecided: messages.review.undecided }[picture.prediction()?.kept_for_review];
    const remarks = [captured, state.remark, state.request.prediction && !picture.drawable() ? messages.undrawable[state.request.prediction.task] : ""];
    byPart("facts").textContent = facts.join(" · ");
    byPart("remark").textContent = remarks.filter(Boolean).join(" ");
    caption.hidden = !facts.length && !state.remark;
  }

  /** A button that the new view state hides would lose the keyboard's focus: it goes to "Another picture". */
  function passFocusOn(focused) {
    if (stage.contains(focused) && !focused.checkVisibility()) byPart("another").focus({ preventScroll: true });
  }

  return function render(next) {
    state = next;
    const view = viewState(state);
    const focused = document.activeElement;
    stage.dataset.face = view;
    stage.setAttribute("aria-busy", String(view === "busy"));
    slow.hidden = !state.request.slow;
    picture.render(state);
    notice(state, view);
    describe();
    passFocusOn(focused);
  };
}
