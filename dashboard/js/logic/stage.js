/** What the stage shows: the picture's state, or a notice that says why there is no prediction and what to do. */

import { Problem, UnreachableError } from "../errors.js";
import { messages } from "../i18n.js";
import { isEmpty } from "./registry.js";

/**
 * A picture's own state goes before the server's: a prediction stays on the screen although the server went away.
 * Until the server has said something, the page takes it to be there: that is soon known, and nothing flickers.
 *
 * @returns "empty" | "no-model" | "unreachable" | "busy" | "answer" | "failed"
 */
export function viewState({ picture, request, server }) {
  if (picture && request.state === "busy") return "busy";
  if (picture && request.state === "done") return "answer";
  if (picture && request.state === "failed") return "failed";
  return { "not-ready": "no-model", unreachable: "unreachable" }[server.state] ?? "empty";
}

/**
 * @returns {title, detail, hint, request, retry, retryAfter (seconds)} for the view states "failed", "no-model" and
 *   "unreachable"; null for the others.
 *   `detail` holds the server's own words where it said any.
 */
export function noticeOf(state, view) {
  if (view === "unreachable") return unreachable();
  if (view === "no-model") return notReady(state);
  if (view !== "failed") return null;
  const { request, server } = state;
  const { error } = request;
  const isServers = error instanceof UnreachableError || error.status === 503;
  if (isServers && server.state === "unreachable") return unreachable();
  if (error instanceof Problem) return error.status === 503 && server.error instanceof Problem ? notReady(state) : problemNotice(error);
  return { title: messages.brokenTitle, detail: messages.brokenDetail, retry: true };
}

/** The server's state for the header: {state, text}. */
export function statusOf({ server, listing }) {
  const state = server.state === "not-ready" && isEmpty(listing) ? "no-model" : server.state;
  return { state, text: messages.server[state] };
}

function unreachable() {
  return { title: messages.unreachableTitle, detail: messages.unreachableDetail, retry: true };
}

function notReady({ server, listing }) {
  const title = isEmpty(listing) ? messages.noModelTitle : messages.notReadyTitle;
  // Without the request's number: it is another at every poll, and the same words would be said again and again.
  return { ...problemNotice(server.error), title, hint: messages.notReadyHint, request: "", retryAfter: null, retry: false };
}

function problemNotice(problem) {
  return {
    title: problem.kind === "overloaded" ? messages.overloadedTitle : messages.failureTitle(problem.status),
    detail: problem.detail || problem.title || messages.failureDetail(problem.status),
    request: problem.requestId ? messages.request(problem.requestId) : "",
    retryAfter: problem.retryAfter,
    retry: problem.status === 429 || problem.status >= 500,
  };
}

/**
 * A message cut into text and commands, which the server puts between backticks. A command is shown on a line of its own,
 * so the comma or full stop after it goes.
 *
 * @returns parts in order, each {text} or {command}.
 */
export function splitCommands(message) {
  return message
    .split(/`([^`]+)`/)
    .map((piece, place) => (place % 2 ? { command: piece } : { text: place ? piece.replace(/^[,.;:]?\s*/, "") : piece }))
    .filter(({ text, command }) => command ?? text);
}
