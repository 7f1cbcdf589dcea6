/** The page's actions: every change of its state starts here. */

import { createPictures } from "./app/pictures.js";
import { createServer } from "./app/server.js";
import { UnreachableError } from "./errors.js";
import { choiceOf } from "./logic/registry.js";

/**
 * @param store holds the state, made from app/state.js.
 * @param api the module api.js, or what behaves like it.
 */
export function createApp(store, api) {
  const server = createServer(store, api, resume);
  const pictures = createPictures(store, api, server);

  async function choose(model, version) {
    store.set({ choice: choiceOf(model, version), threshold: null });
    await (store.get().picture ? pictures.predict() : server.loadModelInfo());
  }

  /** Repeats what failed for want of the server, once it is ready again. */
  async function resume(before) {
    const { request } = store.get();
    const hasFailed = request.state === "failed" && before !== "ready" && before !== "connecting";
    const forWantOfServer = hasFailed && (request.error instanceof UnreachableError || request.error.status === 503);
    await (forWantOfServer ? pictures.predict() : server.loadModelInfo());
  }

  return {
    ...server,
    ...pictures,
    api,
    choose,
    state: store.get,
    setRemark: (remark) => store.set({ remark }),
    setThreshold: (threshold) => store.set({ threshold, selected: null, hovered: null }),
    setMapOpacity: (mapOpacity) => store.set({ mapOpacity }),
    hover: (hovered) => store.get().hovered !== hovered && store.set({ hovered }),
    select: (id) => store.set({ selected: store.get().selected === id ? null : id }),
  };
}
