/** What the visitor is told when there is no answer, and what can be done about it. */

import { words } from "../words.js";
import { isEmpty } from "./catalogue.js";
import { Problem, Unreachable } from "../problems.js";

/**
 * @returns {title, detail, hint, request, retry, retryAfter (seconds)} for the faces "failed", "no-model" and "unreachable"; null for the others.
 *   `detail` holds the server's own words where it said any.
 */
export function noticeOf(state, face) {
  if (face === "unreachable") return unreachable();
  if (face === "no-model") return notReady(state);
  if (face !== "failed") return null;
  const { run, server } = state;
  const { error } = run;
  const isServers = error instanceof Unreachable || error.status === 503;
  if (isServers && server.state === "unreachable") return unreachable();
  if (error instanceof Problem) return error.status === 503 && server.error instanceof Problem ? notReady(state) : said(error);
  return { title: words.brokenTitle, detail: words.brokenDetail, retry: true };
}

/** What the pill in the header says of the server: {state, text}. */
export function statusOf({ server, listing }) {
  const state = server.state === "not-ready" && isEmpty(listing) ? "no-model" : server.state;
  return { state, text: words.server[state] };
}

function unreachable() {
  return { title: words.unreachableTitle, detail: words.unreachableDetail, retry: true };
}

function notReady({ server, listing }) {
  const title = isEmpty(listing) ? words.noModelTitle : words.notReadyTitle;
  // Without the request's number: it is another at every poll, and the same words would be said again and again.
  return { ...said(server.error), title, hint: words.notReadyHint, request: "", retryAfter: null, retry: false };
}

function said(problem) {
  return {
    title: problem.kind === "overloaded" ? words.overloadedTitle : words.failureTitle(problem.status),
    detail: problem.detail || problem.title || words.failureDetail(problem.status),
    request: problem.requestId ? words.request(problem.requestId) : "",
    retryAfter: problem.retryAfter,
    retry: problem.status === 429 || problem.status >= 500,
  };
}
