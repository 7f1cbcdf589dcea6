/** Live: the camera through the server's WebSocket. */

import { counts, limit, terms, total, visible, worths } from "../logic/answer.js";
import { milliseconds, percent } from "../logic/format.js";
import { pace, recent } from "../logic/frames.js";
import { askAgain, askKey, storedKey } from "../key.js";
import { createOverlay } from "../view/overlay.js";
import { words } from "../words.js";
import { CameraError, closeCamera, createGrabber, freshFrames, openCamera, playCamera } from "./camera.js";
import { choose, fillModels, modelOf } from "./models.js";
import { buildScreen } from "./screen.js";
import { openSession, TOO_MANY } from "./session.js";

const own = words.live;
/** The status of what was refused for want of a good key. */
const NO_KEY = 401;

export function createView(root, app) {
  const parts = buildScreen(root);
  const overlay = createOverlay(parts.overlay, { point() {}, hold() {} });
  const grab = createGrabber(parts.video);
  let session = null;
  let stream = null;
  /** Counts starts and stops, so that what an ended one still brings is let go. */
  let round = 0;
  let last = null;
  let answers = [];
  let answered = 0;
  /** Until the visitor moves the slider, it stands where the model itself would have it. */
  let moved = false;
  /** What was chosen of the models and agreed to by the server, and why it did not agree to what was chosen last. */
  let agreed = "";
  let refusal = "";

  parts.start.addEventListener("click", () => (round % 2 ? stop("") : start()));
  parts.slider.addEventListener("input", () => {
    moved = true;
    draw();
  });
  parts.model.addEventListener("change", change);
  new ResizeObserver(draw).observe(parts.frame);
  parts.threshold.textContent = percent(parts.slider.valueAsNumber);

  function say(text, bad = false) {
    parts.says.textContent = text;
    parts.says.classList.toggle("alert", bad);
  }

  async function start() {
    const mine = (round += 1);
    [last, answers, answered] = [null, [], 0];
    parts.start.textContent = own.stop;
    say(own.asking);
    try {
      const opened = await openCamera();
      if (round !== mine) return closeCamera(opened);
      // From here on it is stop() that turns it off, also while it is not yet playing.
      stream = opened;
      await playCamera(parts.video, stream);
    } catch (error) {
      if (!(error instanceof CameraError)) throw error;
      if (round !== mine) return;
      return stop(own.camera[error.kind] ?? own.camera.other(error.message));
    }
    if (round !== mine) return;
    say(own.connecting);
    [agreed, refusal] = [parts.model.value, ""];
    session = openSession({ grab, next: freshFrames(parts.video) }, modelOf(parts.model), {
      ready: tell,
      result: show,
      problem: fail,
      closed: (code) => stop(endOf(code)),
      passed: (count) => (parts.figures.dropped.textContent = count),
    });
  }

  /** Has another model answer. Where the server refuses, the list names again the one that goes on, and it stays said why. */
  async function change() {
    if (!session) return;
    const [mine, wanted] = [round, parts.model.value];
    const problem = await session.set({ model: null, version: null, ...modelOf(parts.model) });
    if (round !== mine) return;
    refusal = problem ? problem.detail || problem.title : "";
    if (!problem) agreed = wanted;
    else if (parts.model.value === wanted) choose(parts.model, agreed);
    tell();
  }

  function tell() {
    say(refusal || own.running, refusal !== "");
  }

  /** Ends camera and connection; `why` is said unless the visitor wished it. */
  function stop(why) {
    if (round % 2) round += 1;
    session?.close();
    if (stream) closeCamera(stream);
    [session, stream, last] = [null, null, null];
    parts.video.srcObject = null;
    parts.start.textContent = own.start;
    overlay.clear();
    say(why, why !== "");
  }

  /** Says why a frame or the connection was refused; where it was for want of a good key, the visitor is asked for one. */
  async function fail(problem, fatal) {
    const why = problem.detail || problem.title;
    if (!fatal) return say(why, true);
    stop(why);
    if (problem.status !== NO_KEY) return;
    askAgain();
    if ((await askKey(storedKey())) && !root.hidden && round % 2 === 0) start();
  }

  async function show(answer, latency) {
    const mine = round;
    const traits = await app.traitsOf(answer.model, answer.version);
    if (round !== mine) return;
    tell();
    last = { answer, traits };
    if (!moved) parts.slider.value = limit({ threshold: null, traits });
    answered += 1;
    answers = recent(answers, { at: performance.now(), latency });
    const { rate, latency: median } = pace(answers);
    parts.figures.answered.textContent = answered;
    parts.figures.rate.textContent = rate === null ? own.none : rate.toLocaleString(words.locale, { maximumFractionDigits: 1 });
    parts.figures.latency.textContent = median === null ? own.none : milliseconds(median);
    parts.figures.inference.textContent = milliseconds(answer.timings_ms.inference);
    draw();
  }

  function draw() {
    const threshold = parts.slider.valueAsNumber;
    parts.threshold.textContent = percent(threshold);
    if (!last) return;
    const { answer, traits } = last;
    const worth = worths(traits);
    const seen = visible(answer.detections, threshold);
    parts.figures.count.textContent = answer.task === "classify" ? likeliest(answer) : (total(seen, worth) ?? seen.length);
    const frame = { width: parts.video.clientWidth, height: parts.video.clientHeight };
    overlay.draw(seen, answer.image, frame, (found) => !counts(worth) || terms([found], worth).length > 0);
  }

  return {
    show() {},
    hide: () => stop(""),
    render: ({ listing }) => fillModels(parts.model, listing),
  };
}

function likeliest({ probabilities }) {
  return probabilities.reduce((a, b) => (b.probability > a.probability ? b : a)).name;
}

function endOf(code) {
  if (code === TOO_MANY) return own.tooMany;
  return code === 1006 ? own.lost : own.ended;
}
