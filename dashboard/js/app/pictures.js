/** The pictures of this visit: how they come to be looked at, one after the other. */

import { numbered } from "../logic/answer.js";
import { lookUp, query } from "../logic/catalogue.js";
import { remember } from "../logic/visit.js";
import { expected, Unreachable } from "../problems.js";
import { words } from "../words.js";

const SLOW_AFTER = 2000;

/** @param server what `createServer` makes. */
export function createPictures(store, api, server) {
  let flight = null;
  /** The newest request as a promise, and who waits for the next one. */
  let newest = null;
  let onNext = null;
  /** Counts what the visitor turned to, so that a series ends when it is another. */
  let series = 0;

  async function look(file, remark = "") {
    series += 1;
    await show(file, remark);
  }

  /** Looks at several in turn, until the visitor turns to another. */
  async function lookAll(files) {
    const mine = (series += 1);
    for (const [place, file] of files.entries()) {
      await show(file, files.length > 1 ? words.ofSeveral(place + 1, files.length) : "");
      await settled(mine);
      if (series !== mine) return;
    }
  }

  /**
   * Until the picture on the stage has come to something. Another model means another request; what the server is too busy
   * for, or away, is tried again by the notice, by the visitor or when the server is back.
   */
  async function settled(mine) {
    let last = null;
    while (series === mine && last !== newest) {
      last = newest;
      await last;
      if (series === mine && last === newest && mayPass()) await new Promise((done) => (onNext = done));
    }
  }

  /** Whether what went wrong last lies with the server's present state, and not with the picture. */
  function mayPass() {
    const { run, server: known } = store.get();
    const { error } = run;
    return error instanceof Unreachable ? known.state === "unreachable" : error?.status === 429 || error?.status === 503;
  }

  async function show(file, remark) {
    turnTo({ file, name: file.name, url: URL.createObjectURL(file) }, remark);
    await predict();
  }

  /** Puts a picture on the stage. The one before frees its memory, unless it is in the visit. */
  function turnTo(picture, remark = "") {
    const { picture: former, visit } = store.get();
    if (former && former !== picture && !visit.some((one) => one.picture === former)) URL.revokeObjectURL(former.url);
    store.set({ picture, remark, pointed: null, held: null });
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
    turnTo(picture);
    if (error) return predict();
    store.set({ traits, run: { state: "done", slow: false, answer, picture, error: null, roundTrip } });
  }

  function predict() {
    newest = request();
    onNext?.();
    return newest;
  }

  async function request() {
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
      if (!lookUp(store.get().listing, result.answer.model, result.answer.version)) await server.list();
    } catch (error) {
      if (own !== flight) return;
      // First whether the server is there at all: it decides what the visitor is told.
      if (expected(error) instanceof Unreachable || error.status === 503) await server.check();
      if (own !== flight) return;
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
    return { answer, roundTrip, traits: await server.traitsOf(answer.model, answer.version, signal) };
  }

  return { ask, look, lookAll, recall, predict };
}
