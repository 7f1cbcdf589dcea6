/** The server's HTTP interface. Addresses are relative: the page works below any path. */

import { ASKED_CONFIDENCE } from "./logic/answer.js";
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

/** What the model sees in the picture, down to a low confidence. `choice` holds `model` and `version`, or nothing. */
export function predict(file, choice, signal) {
  const body = new FormData();
  body.append("image", file, file.name || "picture");
  return request(address("api/predict", { ...choice, confidence: ASKED_CONFIDENCE }), { method: "POST", body, signal });
}

function address(path, parameters) {
  return `${path}?${new URLSearchParams(parameters)}`;
}

async function request(path, options) {
  const response = await arrives(fetch(path, { headers: { accept: "application/json" }, ...options }));
  if (!response.ok) throw await failure(response);
  return arrives(response.json());
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
    title: said.title,
    detail: typeof said.detail === "string" ? said.detail : "",
    requestId: said.request_id ?? response.headers.get("x-request-id") ?? "",
  });
}
