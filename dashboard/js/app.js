/** What the page does: every change of its state starts here. */

import { numbered } from "./logic/answer.js";
import { choiceOf, lookUp, query, resolve } from "./logic/catalogue.js";
import { remember } from "./logic/visit.js";
import { Problem, Unreachable } from "./problems.js";
import { words } from "./words.js";

const SLOW_AFTER = 2000;

export const INITIAL = {
  /** state: connecting, ready, not-ready, unreachable; error: why it is not ready. */
  server: { state: "connecting", error: null },
  listing: null,
  listingError: null,
  /** {model, version}: version null follows the champion. null: whatever the server takes by default. */
  choice: null,
  /** What the model in use says of itself: its classes, with what each is worth, and its own thresholds. */
  traits: { classes: [], thresholds: null },
  /** {file, url, name}. */
  picture: null,
  /** What is to be said about how the picture came here. */
  remark: "",
  /** state: idle, busy, done, failed; picture: what the answer is about. A former answer stays while the next is under way. */
  /** What was looked at: {picture, answer, traits, roundTrip, error}, the newest first. */
  visit: [],
  run: { state: "idle", slow: false, answer: null, picture: null, error: null, roundTrip: 0 },
  /** null: the model's own. */
  threshold: null,
  /** Ids of detections: under the pointer or focus, and held by a click. */
  pointed: null,
  held: null,
};

/**
 * @param store holds the state, made from INITIAL.
 * @param api the module api.js, or what behaves like it.
 */
export function createApp(store, api) {
  const traitsKnown = new Map();
  let flight = null;
  /** Counts what the visitor turned to, so that a series ends when it is another. */
  let series = 0;

  async function look(file, remark = "") {
    series += 1;
    await show(file, remark);
  }

  /** Looks at several in turn, until one cannot be sent or the visitor turns to another. */
  async function lookAll(files) {
    const mine = (series += 1);
    for (const [place, file] of files.entries()) {
      if (series !== mine) return;
      await show(file, files.length > 1 ? words.ofSeveral(place + 1, files.length) : "");
      const { error } = store.get().run;
      if (error instanceof Unreachable || error?.status === 429 || error?.status === 503) return;
    }
  }

  async function show(file, remark) {
    const picture = { file, name: file.name, url: URL.createObjectURL(file) };
    store.set({ picture, remark, pointed: null, held: null });
    await predict();
  }

  /** Keeps what came of a picture; those that fall out of the visit free their memory. */
  function keep(entry) {
    const { visit, gone } = remember(store.get().visit, entry);
    for (const { picture } of gone) URL.revokeObjectURL(picture.url);
    store.set({ visit });
  }

  /** Shows a picture of this visit with its answer again, without asking; one that failed is asked again. */
  async function recall({ picture, answer, traits, roundTrip, error }) {
    series += 1;
    flight?.abort();
    flight = null;
    store.set({ picture, remark: "", pointed: null, held: null });
    if (error) return predict();
    store.set({ traits, run: { state: "done", slow: false, answer, picture, error: null, roundTrip } });
  }

  async function predict() {
    const { picture, choice, run } = store.get();
    if (!picture) return;
    flight?.abort();
    const own = (flight = new AbortController());
    const update = (change) => own === flight && store.set({ run: { ...store.get().run, ...change } });
    const answer = run.state === "failed" ? null : run.answer;
    update({ state: "busy", slow: false, answer, error: null });
    const timer = setTimeout(() => update({ slow: true }), SLOW_AFTER);
    try {
      const { traits, ...result } = await ask(picture.file, query(choice), own.signal);
      if (own !== flight) return;
      store.set({ traits, pointed: null, held: null });
      update({ state: "done", slow: false, picture, ...result });
      keep({ picture, traits, ...result, error: null });
      if (!lookUp(store.get().listing, result.answer.model, result.answer.version)) await list();
    } catch (error) {
      if (own !== flight) return;
      // First whether the server is there at all: it decides what the visitor is told.
      if (expected(error) instanceof Unreachable || error.status === 503) await check();
      update({ state: "failed", slow: false, answer: null, error });
      keep({ picture, error });
    } finally {
      clearTimeout(timer);
    }
  }

  async function ask(file, parameters, signal) {
    const sent = performance.now();
    const answer = numbered(await api.predict(file, parameters, signal));
    const roundTrip = performance.now() - sent;
    return { answer, roundTrip, traits: await traitsOf(answer.model, answer.version, signal) };
  }

  /** A version never changes, so it is asked once. */
  async function traitsOf(model, version, signal) {
    const key = `${model}/${version}`;
    if (!traitsKnown.has(key)) traitsKnown.set(key, await api.classes(model, version, signal));
    return traitsKnown.get(key);
  }

  async function choose(model, version) {
    store.set({ choice: choiceOf(model, version), threshold: null });
    await (store.get().picture ? predict() : introduce());
  }

  /** Asks what the chosen model knows, as long as there is no answer that tells. */
  async function introduce() {
    const { listing, choice, picture } = store.get();
    const { model, version } = resolve(listing, choice);
    if (picture || !model || !version) return;
    try {
      store.set({ traits: await traitsOf(model.name, version.version) });
    } catch (error) {
      expected(error);
      store.set({ traits: INITIAL.traits });
    }
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
    if (server.state === "ready") resume(before);
  }

  async function resume(before) {
    const { run } = store.get();
    const waited = run.state === "failed" && before !== "ready" && before !== "connecting";
    await (waited && (run.error instanceof Unreachable || run.error.status === 503) ? predict() : introduce());
  }

  return {
    state: store.get,
    traitsOf,
    api,
    ask,
    look,
    lookAll,
    recall,
    predict,
    choose,
    list,
    check,
    say: (remark) => store.set({ remark }),
    setThreshold: (threshold) => store.set({ threshold, held: null, pointed: null }),
    point: (pointed) => store.get().pointed !== pointed && store.set({ pointed }),
    hold: (id) => store.set({ held: store.get().held === id ? null : id }),
  };
}

/** Lets through what may go wrong between page and server; anything else is a fault of this page and must be seen. */
function expected(error) {
  if (error instanceof Problem || error instanceof Unreachable) return error;
  throw error;
}
