/** What is known of the server: whether it is there, what its registry offers, and what its models say of themselves. */

import { resolve } from "../logic/catalogue.js";
import { expected, Problem } from "../problems.js";
import { INITIAL } from "./state.js";

/** @param whenReady is called with the former state when the server has become ready. */
export function createServer(store, api, whenReady) {
  const traitsKnown = new Map();

  /** A version never changes, so it is asked once. */
  async function traitsOf(model, version, signal) {
    const key = `${model}/${version}`;
    if (!traitsKnown.has(key)) traitsKnown.set(key, await api.classes(model, version, signal));
    return traitsKnown.get(key);
  }

  /** Asks what the chosen model knows, as long as there is no answer that tells. */
  async function introduce() {
    const { listing, choice, picture } = store.get();
    const { model, version } = resolve(listing, choice);
    if (picture || !model || !version) return;
    const traits = await traitsOf(model.name, version.version).catch((error) => {
      expected(error);
      return INITIAL.traits;
    });
    // A picture or another choice that came meanwhile has traits of its own.
    if (!store.get().picture && store.get().choice === choice) store.set({ traits });
  }

  async function list() {
    try {
      store.set({ listing: await api.models(), listingError: null });
    } catch (error) {
      store.set({ listingError: expected(error) });
    }
  }

  /** Asks whether the server is ready, and takes up what waited for it. */
  async function check() {
    const before = store.get().server.state;
    const server = await api.ready().then(
      () => ({ state: "ready", error: null }),
      (error) => ({ state: expected(error) instanceof Problem ? "not-ready" : "unreachable", error }),
    );
    store.set({ server });
    if (server.state === before) return;
    if (server.state !== "unreachable") await list();
    if (server.state === "ready") whenReady(before);
  }

  return { traitsOf, introduce, list, check };
}
