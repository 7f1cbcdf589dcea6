/** Live: the camera through the server's WebSocket. */

import { allowPrompt, promptForKey, storedKey } from "../api_key.js";
import { messages } from "../i18n.js";
import { judged, steadyRows, taskOf } from "../logic/classification.js";
import { milliseconds, percent } from "../logic/format.js";
import { throughput, withinWindow } from "../logic/frames.js";
import { aboveThreshold, classCounts, effectiveThreshold, isCounted, resultOf } from "../logic/prediction.js";
import { resolveChoice } from "../logic/registry.js";
import { classRow, trustMarks } from "../view/class_list.js";
import { createClassMap } from "../view/class_map.js";
import { showMessage } from "../view/dom.js";
import { fillModelSelect, selectedModel, selectValue } from "../view/model_select.js";
import { createOverlay } from "../view/overlay.js";
import { CameraError, closeCamera, createFrameEncoder, frameCounter, openCamera, playCamera } from "./camera.js";
import { openConnection, TOO_MANY } from "./connection.js";
import { buildLayout } from "./layout.js";

const text = messages.live;
/** The HTTP status for a missing or wrong key. */
const NO_KEY = 401;

export function createView(root, app) {
  const parts = buildLayout(root);
  const overlay = createOverlay(parts.overlay, { hover() {}, select() {} });
  const classMap = createClassMap(parts.classMap);
  const grab = createFrameEncoder(parts.video);
  let session = null;
  let stream = null;
  /** Counts starts and stops: odd while running. What an ended session still brings is dropped. */
  let round = 0;
  let last = null;
  let listing = null;
  let explained = false;
  let answers = [];
  let answered = 0;
  /** Until the visitor moves the slider, it stands where the model itself would have it. */
  let moved = false;
  /** The model that the server last accepted, and why it refused the last choice. */
  let accepted = "";
  let refusal = "";

  parts.start.addEventListener("click", () => (round % 2 ? stop("") : start()));
  parts.slider.addEventListener("input", () => {
    moved = true;
    draw();
  });
  parts.map.addEventListener("input", () => {
    askForMap();
    draw();
  });
  parts.model.addEventListener("change", change);
  parts.model.addEventListener("change", showTask);
  new ResizeObserver(draw).observe(parts.frame);
  parts.threshold.textContent = percent(parts.slider.valueAsNumber);
  parts.mapValue.textContent = percent(parts.map.valueAsNumber);

  /** What belongs to boxes or to classes, by the task of what was answered last, else of the chosen model. */
  function showTask() {
    const { model } = resolveChoice(listing, selectedModel(parts.model));
    const classifies = taskOf(last?.prediction, model) === "classify";
    parts.boxesField.hidden = classifies;
    parts.mapField.hidden = parts.classCard.hidden = !classifies;
    parts.countName.textContent = classifies ? messages.verdict : text.figures.count;
  }

  /** The map is asked for only while it is to be seen: it makes each answer longer. */
  function askForMap() {
    const explain = parts.map.valueAsNumber > 0;
    if (session && explain !== explained) session.set({ explain });
    explained = explain;
  }

  async function start() {
    const token = (round += 1);
    [last, answers, answered] = [null, [], 0];
    parts.start.textContent = text.stop;
    showMessage(parts.says, text.asking);
    try {
      const opened = await openCamera();
      if (round !== token) return closeCamera(opened);
      // From here on it is stop() that turns it off, also while it is not yet playing.
      stream = opened;
      await playCamera(parts.video, stream);
    } catch (error) {
      if (!(error instanceof CameraError)) throw error;
      if (round !== token) return;
      return stop(text.camera[error.kind] ?? text.camera.other(error.message));
    }
    if (round !== token) return;
    showMessage(parts.says, text.connecting);
    [accepted, refusal] = [parts.model.value, ""];
    session = openConnection({ grab, next: frameCounter(parts.video) }, { ...selectedModel(parts.model), explain: explained }, {
      ready: showStatus,
      result: show,
      problem: fail,
      closed: (code) => stop(endOf(code)),
      passed: (count) => (parts.figures.dropped.textContent = count),
    });
  }

  /** Changes the model. If the server refuses, the list shows the one that goes on, and the reason stays. */
  async function change() {
    if (!session) return;
    const [token, wanted] = [round, parts.model.value];
    const problem = await session.set({ model: null, version: null, ...selectedModel(parts.model) });
    if (round !== token) return;
    refusal = problem ? problem.detail || problem.title : "";
    if (!problem) accepted = wanted;
    else if (parts.model.value === wanted) selectValue(parts.model, accepted);
    showStatus();
  }

  function showStatus() {
    showMessage(parts.says, refusal || text.running, refusal !== "");
  }

  /** Ends camera and connection; `why` is empty if the visitor wished it. */
  function stop(why) {
    if (round % 2) round += 1;
    session?.close();
    if (stream) closeCamera(stream);
    [session, stream, last] = [null, null, null];
    parts.video.srcObject = null;
    parts.start.textContent = text.start;
    overlay.clear();
    classMap.clear();
    showMessage(parts.says, why, why !== "");
  }

  /** Shows why a frame or the connection was refused; for a missing or wrong key, asks for one. */
  async function fail(problem, fatal) {
    const why = problem.detail || problem.title;
    if (!fatal) return showMessage(parts.says, why, true);
    stop(why);
    if (problem.status !== NO_KEY) return;
    allowPrompt();
    if ((await promptForKey(storedKey())) && !root.hidden && round % 2 === 0) start();
  }

  async function show(prediction, latency) {
    const token = round;
    const modelInfo = await app.modelInfoOf(prediction.model, prediction.version);
    if (round !== token) return;
    showStatus();
    last = { prediction: judged(prediction, modelInfo), modelInfo };
    showTask();
    if (!moved) parts.slider.value = effectiveThreshold({ threshold: null, modelInfo });
    answered += 1;
    answers = withinWindow(answers, { at: performance.now(), latency });
    const { rate, latency: median } = throughput(answers);
    parts.figures.answered.textContent = answered;
    parts.figures.rate.textContent = rate === null ? text.none : rate.toLocaleString(messages.locale, { maximumFractionDigits: 1 });
    parts.figures.latency.textContent = median === null ? text.none : milliseconds(median);
    parts.figures.inference.textContent = milliseconds(prediction.timings_ms.inference);
    draw();
  }

  function draw() {
    const threshold = parts.slider.valueAsNumber;
    parts.threshold.textContent = percent(threshold);
    parts.mapValue.textContent = percent(parts.map.valueAsNumber);
    if (!last) return;
    const { prediction, modelInfo } = last;
    const counts = classCounts(modelInfo);
    const seen = aboveThreshold(prediction.detections, threshold);
    parts.figures.count.textContent = resultOf(prediction, threshold, modelInfo);
    const frame = { width: parts.video.clientWidth, height: parts.video.clientHeight };
    overlay.draw(seen, prediction.image, frame, (detection) => isCounted(detection, counts));
    drawClasses(prediction, frame);
  }

  function drawClasses(prediction, frame) {
    const opacity = parts.map.valueAsNumber;
    if (prediction.explanation && opacity) classMap.draw(prediction.explanation, prediction.image, frame, opacity);
    else classMap.clear();
    if (prediction.task !== "classify") return;
    parts.trust.replaceChildren(...trustMarks(prediction));
    parts.classes.replaceChildren(...steadyRows(prediction).map(classRow));
  }

  return {
    show() {},
    hide: () => stop(""),
    render(state) {
      listing = state.listing;
      fillModelSelect(parts.model, listing);
      showTask();
    },
  };
}

function endOf(code) {
  if (code === TOO_MANY) return text.tooMany;
  return code === 1006 ? text.lost : text.ended;
}
