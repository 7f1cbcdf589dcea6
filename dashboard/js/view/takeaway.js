/** What can be taken along: the request as a command, and the picture with its boxes. */

import { limit } from "../logic/answer.js";
import { curlOf } from "../logic/curl.js";
import { storedKey } from "../key.js";
import { expected, Problem } from "../problems.js";
import { words } from "../words.js";
import { copyOnClick } from "./clipboard.js";
import { html, part } from "./dom.js";

export function createTakeaway(app) {
  const button = part("download");
  let state = null;

  copyOnClick(part("copy-curl"), part("copy-curl-label"), () =>
    curlOf({
      address: document.baseURI,
      name: state.run.picture.name,
      model: state.run.answer.model,
      version: state.run.answer.version,
      confidence: limit(state),
      keyed: storedKey() !== null,
    }),
  );

  button.addEventListener("click", async () => {
    const { answer, picture } = state.run;
    button.disabled = true;
    try {
      const drawn = await app.api.annotated(picture.file, { model: answer.model, version: answer.version }, limit(state));
      save(drawn.picture, `${picture.name.replace(/\.[^.]+$/, "")}-boxes.jpg`);
    } catch (error) {
      expected(error);
      app.say(error instanceof Problem ? error.message : words.unreachableTitle);
    } finally {
      button.disabled = false;
    }
  });

  return function render(next) {
    state = next;
  };
}

function save(url, name) {
  const link = html("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
}
