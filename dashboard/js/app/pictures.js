/** The pictures of this visit: opened, predicted one after the other, and shown again. */

import { rethrowUnknown, UnreachableError } from "../errors.js";
import { messages } from "../i18n.js";
import { judged } from "../logic/classification.js";
import { addToHistory } from "../logic/history.js";
import { withIds } from "../logic/prediction.js";
import { findVersion, queryParameters } from "../logic/registry.js";

const SLOW_AFTER = 2000;

/** @param server what `createServer` makes. */
export function createPictures(store, api, server) {
  let controller = null;
  /** The newest request as a promise, and the function that wakes who waits for the next one. */
  let newest = null;
  let onNext = null;
  /** Counts what the visitor opened, so that a series of pictures ends when something else is opened. */
  let series = 0;

  async function openPicture(file, remark = "") {
    series += 1;
    await show(file, remark);
  }

  /** Predicts several in turn, until the visitor opens something else. */
  async function openPictures(files) {
    const token = (series += 1);
    for (const [place, file] of files.entries()) {
      await show(file, files.length > 1 ? messages.ofSeveral(place + 1, files.length) : "");
      await settled(token);
      if (series !== token) return;
    }
  }

  /**
   * Waits until the picture on the stage has its result. Another model means another request. A transient failure is tried
   * again by the notice, by the visitor or when the server is back: that request is waited for as well.
   */
  async function settled(token) {
    let last = null;
    while (series === token && last !== newest) {
      last = newest;
      await last;
      if (series === token && last === newest && isTransient()) await new Promise((done) => (onNext = done));
    }
  }

  /** Whether the last failure lies with the server's present state, and not with the picture. */
  function isTransient() {
    const { request, server } = store.get();
    const { error } = request;
    return error instanceof UnreachableError ? server.state === "unreachable" : error?.status === 429 || error?.status === 503;
  }

  async function show(file, remark) {
    setPicture({ file, name: file.name, url: URL.createObjectURL(file) }, remark);
    await predict();
  }

  /** Puts a picture on the stage. The one before frees its memory, unless the history shows it. */
  function setPicture(picture, remark = "") {
    const { picture: former, history } = store.get();
    if (former && former !== picture && !history.some((one) => one.picture === former)) URL.revokeObjectURL(former.url);
    store.set({ picture, remark, hovered: null, selected: null });
  }

  /** Adds a result to the history. Pictures that fall out of it free their memory. */
  function addEntry(entry) {
    const { history, gone } = addToHistory(store.get().history, entry);
    for (const { picture } of gone) URL.revokeObjectURL(picture.url);
    store.set({ history });
  }

  /** Shows a picture of the history with its prediction again, without a request; one that failed is requested again. */
  async function recall({ picture, prediction, modelInfo, roundTrip, error }) {
    series += 1;
    controller?.abort();
    controller = null;
    setPicture(picture);
    if (error) return predict();
    store.set({ modelInfo, request: { state: "done", slow: false, prediction, picture, error: null, roundTrip } });
  }

  function predict() {
    newest = sendRequest();
    onNext?.();
    return newest;
  }

  async function sendRequest() {
    const { picture, choice, request } = store.get();
    if (!picture) return;
    controller?.abort();
    // Whatever comes back after a newer request has started is dropped: `own` is not the newest controller then.
    const own = (controller = new AbortController());
    const update = (change) => own === controller && store.set({ request: { ...store.get().request, ...change } });
    const prediction = request.state === "failed" ? null : request.prediction;
    update({ state: "busy", slow: false, prediction, error: null });
    const timer = setTimeout(() => update({ slow: true }), SLOW_AFTER);
    try {
      const { modelInfo, ...result } = await ask(picture.file, queryParameters(choice), own.signal);
      if (own !== controller) return;
      store.set({ modelInfo, hovered: null, selected: null });
      update({ state: "done", slow: false, picture, ...result });
      addEntry({ picture, modelInfo, ...result, error: null });
      if (!findVersion(store.get().listing, result.prediction.model, result.prediction.version)) await server.loadListing();
    } catch (error) {
      if (own !== controller) return;
      // The server's state decides what the visitor is told, so it is checked first.
      if (rethrowUnknown(error) instanceof UnreachableError || error.status === 503) await server.check();
      if (own !== controller) return;
      update({ state: "failed", slow: false, prediction: null, error });
      addEntry({ picture, error });
    } finally {
      clearTimeout(timer);
    }
  }

  async function ask(file, parameters, signal) {
    const sent = performance.now();
    const prediction = withIds(await api.predict(file, parameters, signal));
    const roundTrip = performance.now() - sent;
    const modelInfo = await server.modelInfoOf(prediction.model, prediction.version, signal);
    return { prediction: judged(prediction, modelInfo), roundTrip, modelInfo };
  }

  return { ask, openPicture, openPictures, recall, predict };
}
