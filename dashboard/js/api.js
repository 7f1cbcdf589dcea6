/** The server's HTTP interface. Addresses are relative: the page works below any path. */

import { ASKED_CONFIDENCE } from "./logic/answer.js";
import { askAgain, askKey, storedKey } from "./key.js";
import { Problem, Unreachable } from "./problems.js";

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

/** The classes of a model's version, with what each is worth, and its own thresholds. */
export function classes(model, version, signal) {
  return request(address("api/classes", { model, version }), { signal });
}

/** The training that made a version: its metrics, their curves, its page in MLflow. */
export function run(model, version, signal) {
  return request(`api/models/${encodeURIComponent(model)}/versions/${version}/run`, { signal });
}

/** Makes a version the champion; needs a key of the scope admin where the server asks for keys. */
export function promote(model, version) {
  return change(`api/models/${encodeURIComponent(model)}/promote`, { version });
}

/** Makes the champion before the present one the champion again. */
export function rollback(model) {
  return change(`api/models/${encodeURIComponent(model)}/rollback`, {});
}

/** The server's measurements, as Prometheus reads them. */
export async function metrics(signal) {
  const response = await send("api/metrics", { signal, accept: "text/plain" });
  if (!response.ok) throw await failure(response);
  return arrives(response.text());
}

/** What the model sees in the picture, down to a low confidence. `choice` holds `model` and `version`, or nothing. */
export function predict(file, choice, signal) {
  askAgain();
  const body = new FormData();
  body.append("image", file, file.name || "picture");
  return request(address("api/predict", { ...choice, confidence: ASKED_CONFIDENCE }), { method: "POST", body, signal });
}

/** The answer above this confidence, with `picture`: a data URL with boxes drawn and faces blurred. */
export function annotated(file, choice, confidence) {
  askAgain();
  const body = new FormData();
  body.append("image", file, file.name || "picture");
  return request(address("api/predict", { ...choice, confidence, return_image: true, annotate: true }), { method: "POST", body });
}

/** One of the page's own pictures, as a file. */
export async function sample(url) {
  const response = await arrives(fetch(url));
  if (!response.ok) throw await failure(response);
  const blob = await arrives(response.blob());
  return new File([blob], url.split("/").at(-1), { type: blob.type });
}

/** A connection for live frames, which the caller listens to; its answers are texts. */
export function liveSocket(settings) {
  const url = new URL(address("ws/predict", settings), document.baseURI);
  url.protocol = url.protocol.replace("http", "ws");
  const key = storedKey();
  return new WebSocket(url, key ? ["handful.v1", `key.${key}`] : ["handful.v1"]);
}

function change(path, body) {
  askAgain();
  return request(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });
}

function address(path, parameters) {
  return `${path}?${new URLSearchParams(parameters)}`;
}

async function request(path, options) {
  const response = await send(path, options);
  if (!response.ok) throw await failure(response);
  return arrives(response.json());
}

/** Sends a request with the visitor's key; where the server wants one and has none that is good, the visitor is asked. */
async function send(path, { headers, accept = "application/json", ...options }) {
  const key = storedKey();
  const own = { accept, ...headers, ...(key ? { "x-api-key": key } : {}) };
  const response = await arrives(fetch(path, { ...options, headers: own }));
  // An admin's key may do what the key that was given may not.
  if (response.status !== 401 && !(response.status === 403 && options.method === "POST" && key)) return response;
  return (await askKey(key)) ? send(path, { headers, accept, ...options }) : response;
}

/** What the network promised; an Unreachable where the promise breaks, unless this page itself gave it up. */
function arrives(promised) {
  return promised.catch((error) => {
    throw error.name === "AbortError" ? error : new Unreachable(error);
  });
}

async function failure(response) {
  if (PROXY_FAILURES.has(response.status)) return new Unreachable();
  const isJson = /[/+]json\b/.test(response.headers.get("content-type") ?? "");
  const said = isJson ? await arrives(response.json()) : {};
  return new Problem({
    status: response.status,
    kind: said.type?.split(":").at(-1),
    retryAfter: Number(response.headers.get("retry-after")) || null,
    title: said.title,
    detail: typeof said.detail === "string" ? said.detail : "",
    requestId: said.request_id ?? response.headers.get("x-request-id") ?? "",
  });
}
