/** What the page does: every change of its state starts here. */

import { createPictures } from "./app/pictures.js";
import { createServer } from "./app/server.js";
import { choiceOf } from "./logic/catalogue.js";
import { Unreachable } from "./problems.js";

/**
 * @param store holds the state, made from app/state.js.
 * @param api the module api.js, or what behaves like it.
 */
export function createApp(store, api) {
  const server = createServer(store, api, resume);
  const pictures = createPictures(store, api, server);

  async function choose(model, version) {
    store.set({ choice: choiceOf(model, version), threshold: null });
    await (store.get().picture ? pictures.predict() : server.introduce());
  }

  /** Takes up what waited for the server. */
  async function resume(before) {
    const { run } = store.get();
    const waited = run.state === "failed" && before !== "ready" && before !== "connecting";
    await (waited && (run.error instanceof Unreachable || run.error.status === 503) ? pictures.predict() : server.introduce());
  }

  return {
    ...server,
    ...pictures,
    api,
    choose,
    state: store.get,
    say: (remark) => store.set({ remark }),
    setThreshold: (threshold) => store.set({ threshold, held: null, pointed: null }),
    point: (pointed) => store.get().pointed !== pointed && store.set({ pointed }),
    hold: (id) => store.set({ held: store.get().held === id ? null : id }),
  };
}
