/** The prediction to take along: as JSON, as the command that asks for it, and as the picture with what was found drawn in. */

import { storedKey } from "../api_key.js";
import { Problem, rethrowUnknown } from "../errors.js";
import { messages } from "../i18n.js";
import { curlCommand } from "../logic/curl.js";
import { atThreshold, classCounts, effectiveThreshold } from "../logic/prediction.js";
import { copyOnClick } from "./clipboard.js";
import { byPart, html } from "./dom.js";

/** Ends the name of the picture that is saved, by the task. */
const ENDING = { detect: "boxes", classify: "class" };

export function createExport(app) {
  const root = byPart("raw");
  const details = byPart("raw-details");
  const code = byPart("raw-code");
  const button = byPart("download");
  let state = null;

  copyOnClick(byPart("copy"), byPart("copy-label"), json);
  details.addEventListener("toggle", writeJson);

  function json() {
    return JSON.stringify(atThreshold(state.request.prediction, effectiveThreshold(state), classCounts(state.modelInfo)), null, 2);
  }

  /** The confidence in force: a classifier is judged by its own, whatever the slider of boxes says. */
  function confidence() {
    const { prediction } = state.request;
    return prediction.task === "detect" ? effectiveThreshold(state) : prediction.thresholds.confidence;
  }

  /** Only while it is open: each move of the slider gives another text. */
  function writeJson() {
    if (details.open && state.request.prediction) code.textContent = json();
  }

  copyOnClick(byPart("copy-curl"), byPart("copy-curl-label"), () =>
    curlCommand({
      address: document.baseURI,
      name: state.request.picture.name,
      model: state.request.prediction.model,
      version: state.request.prediction.version,
      confidence: confidence(),
      explain: Boolean(state.request.prediction.explanation),
      keyed: storedKey() !== null,
    }),
  );

  button.addEventListener("click", async () => {
    const { prediction, picture } = state.request;
    button.disabled = true;
    try {
      const drawn = await app.api.annotated(picture.file, { model: prediction.model, version: prediction.version }, confidence(), state.mapOpacity > 0);
      save(drawn.picture, `${picture.name.replace(/\.[^.]+$/, "")}-${ENDING[prediction.task]}.jpg`);
    } catch (error) {
      rethrowUnknown(error);
      app.setRemark(error instanceof Problem ? error.message : messages.unreachableTitle);
    } finally {
      button.disabled = false;
    }
  });

  return function render(next) {
    state = next;
    const { prediction } = state.request;
    root.hidden = !prediction;
    if (prediction) button.textContent = messages.download[prediction.task];
    writeJson();
  };
}

function save(url, name) {
  const link = html("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
