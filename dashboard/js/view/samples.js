/** Pictures that come with the page, to click. */

import { expected, Problem } from "../problems.js";
import { words } from "../words.js";
import { part } from "./dom.js";

export function createSamples(app) {
  for (const button of part("samples").querySelectorAll("button")) {
    button.addEventListener("click", () => take(app, button.querySelector("img").src));
  }
}

async function take(app, url) {
  try {
    app.look(await app.api.sample(url));
  } catch (error) {
    expected(error);
    await app.check();
    // That the server is away the stage says by itself, until it is back.
    if (app.state().server.state === "unreachable") return;
    app.say(error instanceof Problem ? `${words.failureTitle(error.status)}. ${words.failureDetail(error.status)}` : words.brokenTitle);
  }
}
