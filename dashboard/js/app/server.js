/** What the page knows of the server: whether it is ready, which models it lists, and what they say of themselves. */

import { Problem, rethrowUnknown } from "../errors.js";
import { resolveChoice } from "../logic/registry.js";
import { INITIAL } from "./state.js";

/** @param whenReady is called with the former state when the server has become ready. */
export function createServer(store, api, whenReady) {
  const modelInfoCache = new Map();

  /** A version never changes, so it is requested once. */
  async function modelInfoOf(model, version, signal) {
    const key = `${model}/${version}`;
    if (!modelInfoCache.has(key)) modelInfoCache.set(key, await api.classes(model, version, signal));
    return modelInfoCache.get(key);
  }

  /** Loads what the chosen model knows, as long as no prediction brought it. */
  async function loadModelInfo() {
    const { listing, choice, picture } = store.get();
    const { model, version } = resolveChoice(listing, choice);
    if (picture || !model || !version) return;
    const modelInfo = await modelInfoOf(model.name, version.version).catch((error) => {
      rethrowUnknown(error);
      return INITIAL.modelInfo;
    });
    // A picture or another choice that came meanwhile brings its own.
    if (!store.get().picture && store.get().choice === choice) store.set({ modelInfo });
  }

  async function loadListing() {
    try {
      store.set({ listing: await api.models(), listingError: null });
    } catch (error) {
      store.set({ listingError: rethrowUnknown(error) });
    }
  }

  /** Checks whether the server is ready; if it became so, `whenReady` repeats what waited for it. */
  async function check() {
    const before = store.get().server.state;
    const server = await api.ready().then(
      () => ({ state: "ready", error: null }),
      (error) => ({ state: rethrowUnknown(error) instanceof Problem ? "not-ready" : "unreachable", error }),
    );
    store.set({ server });
    if (server.state === before) return;
    if (server.state !== "unreachable") await loadListing();
    if (server.state === "ready") whenReady(before);
  }

  return { modelInfoOf, loadModelInfo, loadListing, check };
}
