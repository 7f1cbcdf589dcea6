/** The server's HTTP interface. Addresses are relative: the page works below any path. */

import { allowPrompt, promptForKey, storedKey } from "./api_key.js";
import { Problem, UnreachableError } from "./errors.js";
import { MIN_CONFIDENCE } from "./logic/prediction.js";

/** What a proxy answers when the server behind it is away. */
const PROXY_FAILURES = new Set([502, 504]);

/** Whether the server takes requests. Throws a Problem with status 503 while it has no model to answer with. */
export function ready(signal) {
  return request("api/health/ready", { signal });
}

/** The registry's models with their versions. */
export function models(signal) {
  return request("api/models", { signal });
}

/** The classes of a model's version, with what each adds to the count, and its own thresholds. */
export function classes(model, version, signal) {
  return request(withQuery("api/classes", { model, version }), { signal });
}

/** The training that made a version: its metrics, their curves, its page in MLflow. */
export function trainingRun(model, version, signal) {
  return request(`api/models/${encodeURIComponent(model)}/versions/${version}/run`, { signal });
}

/** Makes a version the champion; needs a key of the scope admin where the server asks for keys. */
export function promote(model, version) {
  return postJson(`api/models/${encodeURIComponent(model)}/promote`, { version });
}

/** Makes the champion before the present one the champion again. */
export function rollback(model) {
  return postJson(`api/models/${encodeURIComponent(model)}/rollback`, {});
}

/** The newest verdicts of the monitor. Throws a Problem of the kind "no-monitor" where none runs. */
export function verdicts(signal) {
  return request("monitor/verdicts", { signal });
}

/** The verdicts on a model's version and source, the newest last. */
export function verdictHistory({ model, version, source }, signal) {
  return request(withQuery("monitor/verdicts/history", { model, version, source }), { signal });
}

/** A model's requests and latency over so many hours. */
export function traffic(model, hours, signal) {
  return request(withQuery("monitor/requests", { model, hours }), { signal });
}

/** Models that have captured pictures, with how many wait for a review. Needs a key of the scope review. */
export function reviewModels(signal) {
  return request("monitor/review/models", { signal });
}

/** A model's captured pictures that are "open" or "done", with the model's answers. */
export function reviewPictures(model, status, signal) {
  return request(withQuery("monitor/review/pictures", { model, status }), { signal });
}

/** A captured picture, as a blob: an address alone would carry no key. */
export async function reviewImage(id, signal) {
  const response = await send(`monitor/review/pictures/${id}/image`, { signal, accept: "image/jpeg" });
  if (!response.ok) throw await problemFrom(response);
  return orUnreachable(response.blob());
}

/** Keeps a review {status, annotation}; a Problem with status 409 if the picture is no longer at this revision. */
export function putReview(id, revision, review) {
  allowPrompt();
  const headers = { "content-type": "application/json", "if-match": `"${revision}"` };
  return request(`monitor/review/pictures/${id}`, { method: "PUT", headers, body: JSON.stringify(review) });
}

/** Deletes a captured picture with its review, for good. */
export function deletePicture(id) {
  return change(`monitor/review/pictures/${id}`, "DELETE");
}

/** Deletes all captured pictures of a model with their reviews, for good. */
export function deletePictures(model) {
  return change(withQuery("monitor/review/pictures", { model }), "DELETE");
}

/** The server's measurements, as Prometheus reads them. */
export async function metrics(signal) {
  const response = await send("api/metrics", { signal, accept: "text/plain" });
  if (!response.ok) throw await problemFrom(response);
  return orUnreachable(response.text());
}

/** What the model sees in the picture, down to a low confidence. `choice` holds `model` and `version`, or nothing. */
export function predict(file, choice, signal) {
  allowPrompt();
  const body = new FormData();
  body.append("image", file, file.name || "picture");
  return request(withQuery("api/predict", { ...choice, confidence: MIN_CONFIDENCE, explain: true }), { method: "POST", body, signal });
}

/** The prediction above this confidence, with `picture`: a data URL with boxes, or class and map, drawn and faces blurred. */
export function annotated(file, choice, confidence, explain) {
  allowPrompt();
  const body = new FormData();
  body.append("image", file, file.name || "picture");
  return request(withQuery("api/predict", { ...choice, confidence, explain, return_image: true, annotate: true }), { method: "POST", body });
}

/** One of the page's own pictures, as a file. */
export async function fetchSample(url) {
  const response = await orUnreachable(fetch(url));
  if (!response.ok) throw await problemFrom(response);
  const blob = await orUnreachable(response.blob());
  return new File([blob], url.split("/").at(-1), { type: blob.type });
}

/** A connection for live frames, which the caller listens to; its answers are texts. */
export function liveSocket(settings) {
  const url = new URL(withQuery("ws/predict", settings), document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const key = storedKey();
  return new WebSocket(url, key ? ["handful.v1", `key.${key}`] : ["handful.v1"]);
}

function postJson(path, body) {
  return change(path, "POST", JSON.stringify(body));
}

function change(path, method, body) {
  allowPrompt();
  return request(path, { method, headers: { "content-type": "application/json" }, body });
}

function withQuery(path, parameters) {
  return `${path}?${new URLSearchParams(parameters)}`;
}

async function request(path, options) {
  const response = await send(path, options);
  if (!response.ok) throw await problemFrom(response);
  return orUnreachable(response.json());
}

/** Sends a request with the visitor's key; if the server refuses it, the visitor is asked for another. */
async function send(path, { headers, accept = "application/json", ...options }) {
  const key = storedKey();
  const own = { accept, ...headers, ...(key ? { "x-api-key": key } : {}) };
  const response = await orUnreachable(fetch(path, { ...options, headers: own }));
  // 403: this key is good, but lacks the scope; another key may do it. Without a key, 403 has another reason.
  const needsMore = response.status === 403 && key && (options.method || path.startsWith("monitor/review"));
  if (response.status !== 401 && !needsMore) return response;
  return (await promptForKey(key)) ? send(path, { headers, accept, ...options }) : response;
}

/** The promise of the network's; an UnreachableError where the promise breaks, unless this page itself gave it up. */
function orUnreachable(promised) {
  return promised.catch((error) => {
    throw error.name === "AbortError" ? error : new UnreachableError(error);
  });
}

async function problemFrom(response) {
  if (PROXY_FAILURES.has(response.status)) return new UnreachableError();
  const isJson = /[/+]json\b/.test(response.headers.get("content-type") ?? "");
  const said = isJson ? await orUnreachable(response.json()) : {};
  return new Problem({
    status: response.status,
    kind: said.type?.split(":").at(-1),
    retryAfter: Number(response.headers.get("retry-after")) || null,
    title: said.title,
    detail: typeof said.detail === "string" ? said.detail : "",
    requestId: said.request_id ?? response.headers.get("x-request-id") ?? "",
  });
}
