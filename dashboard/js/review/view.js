/** Review: one picture at a time with the model's proposal, to accept, correct or set aside. */

import { allowPrompt } from "../api_key.js";
import { Problem, rethrowUnknown } from "../errors.js";
import { messages } from "../i18n.js";
import { add, begin, classesOf, classOfDigit, isChanged, middleBox, move, remove, rename, select, selectNext, stretch, undo } from "../logic/annotation.js";
import { confirmDialog } from "../view/dialog.js";
import { html, showMessage } from "../view/dom.js";
import { noticeCard } from "../monitoring/notice.js";
import { createCanvas } from "./canvas.js";
import { createPanel } from "./panel.js";
import { createQueue } from "./queue.js";

const text = messages.review;
/** How far an arrow key moves a box, as a share of the picture; with Alt one pixel. */
const STEP = 0.01;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

export function createView(root, app) {
  const queue = createQueue(app.api);
  const canvas = createCanvas({ editing: () => editing, change, nameOfNew: () => lastName ?? classes[0] ?? "object" });
  const actions = { save, setAside, back, later, step: () => change(undo), addBox, removeBox: () => change(remove), pick: (place) => change((now) => select(now, place)), name: setName, deleteOne, deleteAll };
  const panel = createPanel(actions);
  const says = html("p", { class: "says", role: "status", "data-part": "review-says" }, text.loading);
  const models = html("select", { "data-part": "review-model" });
  const chooser = html("label", { class: "field", hidden: true }, text.model, " ", models);
  const progress = html("p", { class: "remark", "data-part": "review-progress" });
  // The keys work while the focus is in here, and nowhere else on the page.
  const desk = html("section", { class: "review-desk", "aria-label": text.desk, "data-part": "review-desk", tabindex: -1, hidden: true }, canvas.root, panel.root);
  const notice = html("div", { class: "cards", "data-part": "review-notice" });
  root.replaceChildren(
    html("h1", { class: "title", tabindex: -1 }, text.title),
    html("p", { class: "lead" }, text.lead),
    html("div", { class: "row review-bar" }, chooser, progress),
    says,
    notice,
    desk,
  );
  let picture = null;
  let editing = null;
  let classes = [];
  let lastName = null;
  let isBusy = false;
  let controller = null;

  models.addEventListener("change", () => open(models.value));
  desk.addEventListener("keydown", onKey);

  async function load() {
    const { signal } = (controller = new AbortController());
    await guarded(async () => {
      const { models: found } = await app.api.reviewModels(signal);
      const wanted = found.find(({ name }) => name === models.value) ?? found.find(({ open: count }) => count) ?? found[0];
      models.replaceChildren(...found.map(({ name, open: count }) => html("option", { value: name, selected: name === wanted?.name }, text.modelCount(name, count))));
      chooser.hidden = found.length < 2;
      if (wanted) return openModel(wanted.name, signal);
      showNothing("none");
    });
  }

  function open(name) {
    return guarded(() => openModel(name, controller.signal));
  }

  async function openModel(name, signal) {
    await queue.open(name, signal);
    await show();
  }

  /** Does something that asks the server, and says what failed: nothing that was entered is lost. */
  async function guarded(work) {
    if (isBusy) return;
    isBusy = true;
    try {
      await work();
    } catch (error) {
      if (error.name !== "AbortError") failed(rethrowUnknown(error));
    } finally {
      isBusy = false;
    }
  }

  function failed(error) {
    if (error instanceof Problem && error.kind === "no-monitor") {
      desk.hidden = true;
      showMessage(says, "");
      notice.replaceChildren(noticeCard("absent"));
      return;
    }
    showMessage(says, error instanceof Problem ? error.message : messages.unreachableTitle, true);
  }

  function showNothing(why) {
    picture = editing = null;
    desk.hidden = true;
    canvas.draw();
    showMessage(says, why === "none" ? text.none : text.done);
    progress.textContent = "";
    const capture = app.state().listing?.capture ?? "off";
    notice.replaceChildren(html("div", { class: "card" }, html("p", {}, capture === "off" ? text.captureOff : text.captureOn(capture)), queue.hasPast() ? button(text.back, back) : ""));
  }

  async function show() {
    picture = queue.current();
    if (!picture) return showNothing("done");
    notice.replaceChildren();
    const url = await queue.imageOf(picture);
    classes = classesOf(await knownClasses(picture), picture);
    editing = begin(picture);
    desk.hidden = false;
    showMessage(says, "");
    await canvas.show(picture, url, classes);
    render();
    if (!desk.contains(document.activeElement)) desk.focus({ preventScroll: true });
  }

  /** The model's classes; a version that serving no longer knows has those of its answer. */
  async function knownClasses({ model, version }) {
    const info = await app.modelInfoOf(model, version).catch(() => null);
    return info?.classes.map(({ name }) => name) ?? [];
  }

  function render() {
    const { open: count, done } = queue.counts();
    progress.textContent = text.progress(count, done);
    canvas.draw();
    panel.render({ picture, editing, classes, hasPast: queue.hasPast() });
  }

  function change(edit) {
    if (!editing || isBusy) return;
    editing = edit(editing);
    render();
  }

  function setName(name) {
    lastName = name;
    change((now) => rename(now, name));
  }

  function addBox() {
    if (editing?.annotation.objects) change((now) => add(now, lastName ?? classes[0] ?? "object", middleBox(now.size)));
  }

  /** As the model has it, or as it was corrected. */
  function save() {
    if (!editing) return;
    const isCorrected = isChanged(editing) || picture.review?.status === "corrected";
    send(isCorrected ? { status: "corrected", annotation: editing.annotation } : { status: "accepted", annotation: editing.annotation });
  }

  function setAside() {
    if (editing) send({ status: "not usable" });
  }

  function send(review) {
    const sent = picture;
    return guarded(async () => {
      try {
        const kept = await app.api.putReview(sent.id, sent.revision, review);
        await queue.next(sent, kept, controller.signal);
      } catch (error) {
        if (!(error instanceof Problem) || ![404, 409].includes(error.status) || error.kind === "no-monitor") throw error;
        await queue.drop(sent, controller.signal);
        await show();
        showMessage(says, error.status === 409 ? text.conflict : text.gone, true);
        return;
      }
      await show();
      panel.announce(text.saved[review.status]);
    });
  }

  function back() {
    return guarded(async () => {
      if (!queue.hasPast()) return;
      queue.back();
      await show();
    });
  }

  function later() {
    return guarded(async () => {
      queue.later();
      await show();
    });
  }

  async function deleteOne() {
    if (!picture || !(await confirmDialog(text.deleteOneQuestion, text.deleteOneYes, text.cancel))) return;
    const gone = picture;
    await guarded(async () => {
      await app.api.deletePicture(gone.id);
      await queue.drop(gone, controller.signal);
      await show();
      panel.announce(text.deleted);
    });
  }

  async function deleteAll() {
    if (!picture) return;
    const { model } = picture;
    if (!(await confirmDialog(text.deleteAllQuestion(model), text.deleteAllYes, text.cancel))) return;
    await guarded(async () => {
      await app.api.deletePictures(model);
      await queue.open(model, controller.signal);
      await show();
    });
  }

  function onKey(event) {
    const isTyping = event.target.matches("select, input, textarea");
    const isUndo = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z";
    if (isTyping || (!isUndo && (event.ctrlKey || event.metaKey))) return;
    const act = isUndo ? actions.step : actionOf(event);
    if (!act) return;
    event.preventDefault();
    act();
  }

  function actionOf({ key, shiftKey, altKey, target }) {
    if (ARROWS[key]) return () => nudge(ARROWS[key], shiftKey, altKey);
    if (/^\d$/.test(key)) return () => (classOfDigit(key, classes) ? setName(classOfDigit(key, classes)) : null);
    // A button has its own meaning of Enter and Space.
    if (key === "Enter" && target.closest("button")) return null;
    return {
      Enter: save,
      a: save,
      x: setAside,
      u: actions.step,
      n: addBox,
      Delete: actions.removeBox,
      Backspace: actions.removeBox,
      ".": () => change((now) => selectNext(now, 1)),
      ",": () => change((now) => selectNext(now, -1)),
      b: back,
      s: later,
    }[key.length === 1 ? key.toLowerCase() : key];
  }

  function nudge([across, down], isStretch, isFine) {
    change((now) => {
      const dx = across * (isFine ? 1 : now.size.width * STEP);
      const dy = down * (isFine ? 1 : now.size.height * STEP);
      return isStretch ? stretch(now, dx, dy) : move(now, dx, dy);
    });
  }

  return {
    show() {
      allowPrompt();
      // A correction that was begun is still there.
      return editing && isChanged(editing) ? render() : load();
    },
    hide() {
      if (!editing || !isChanged(editing)) controller?.abort();
    },
    render() {},
  };
}

function button(label, act) {
  const made = html("button", { type: "button", class: "button" }, label);
  made.addEventListener("click", act);
  return made;
}
