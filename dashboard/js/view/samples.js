/** Pictures that come with the page, to click. */

import { part } from "./dom.js";

export function createSamples(app) {
  for (const button of part("samples").querySelectorAll("button")) {
    button.addEventListener("click", async () => {
      const { src } = button.querySelector("img");
      app.look(await app.api.sample(src));
    });
  }
}
