/** Every word that the page says of its own accord, apart from those in index.html. */

const METRICS = {
  mAP50: "mAP@0.5",
  mAP50_95: "mAP@0.5:0.95",
  count_accuracy: "count accuracy",
  accuracy: "accuracy",
  top1: "top-1",
  f1: "F1",
};

const FAILURES = {
  413: "This picture is too large",
  415: "This file cannot be read as a picture",
  422: "This picture is damaged",
  429: "Too many requests at once",
  503: "The server has no model for this",
};

const plural = (count, one, many = `${one}s`) => `${count} ${count === 1 ? one : many}`;

export const words = {
  version: (number) => `v${number}`,
  metricName: (key) => METRICS[key] ?? key.replaceAll("_", " "),
  task: { detect: "detection", classify: "classification" },
  versionState: { served: "", loaded: "loaded", available: "loads when first used", refused: "refused" },
  chooseModel: "Choose a model",
  noModels: "No model is registered yet",
  listingFailed: (why) => `The models could not be listed: ${why}`,
  follows: "follows the champion",

  server: {
    connecting: "Connecting",
    ready: "Ready",
    "not-ready": "Not ready",
    "no-model": "No model yet",
    unreachable: "No connection",
  },
  noModelTitle: "No model yet",
  notReadyTitle: "The server is not ready",
  notReadyHint: "This page notices by itself when that has changed.",
  unreachableTitle: "The server does not answer",
  unreachableDetail: "It may be starting, or it has stopped. This page keeps trying.",
  brokenTitle: "The connection broke",
  brokenDetail: "The server is there, but the picture did not get through. It may be too large for it.",
  failureTitle: (status) => FAILURES[status] ?? (status >= 500 ? "The server failed" : "The server said no"),
  failureDetail: (status) => `It gave no reason but the status ${status}.`,
  request: (id) => `Request ${id}`,
  pictureAlt: (name) => `Your picture ${name}`,
  undrawable: "This browser cannot show this kind of picture. The boxes are drawn to scale.",
  onlyFirst: "One picture at a time: the first was taken.",
  noFile: "That was no file. Save the picture and drop it here.",

  count: "Count",
  objects: "Objects",
  verdict: "Most likely",
  noVerdict: {
    empty: "Show it a picture, and the answer appears here.",
    busy: "Looking…",
    failed: "No answer for this picture.",
    "no-model": "It needs a model first.",
    unreachable: "Waiting for the server.",
  },
  sum: (terms) => terms.join(" + "),
  from: (boxes, uncounted) =>
    uncounted ? `${plural(boxes, "box", "boxes")}, ${uncounted} not counted` : plural(boxes, "box", "boxes"),
  nothingFound: (threshold) => `Nothing found above ${threshold}`,
  probability: (share) => `Probability ${share}`,
  announce: (label, value, detail) => `${label} ${value}. ${detail}`,

  seen: "What it sees",
  knows: "What it knows",
  probabilities: "How likely",
  moreClasses: (count) => `and ${count} more`,
  hidden: (count) => `${count} more below the threshold`,
  notCounted: "not counted",
  adds: (value) => `counts ${value}`,

  stage: {
    decode: "Decode",
    preprocess: "Prepare",
    inference: "Inference",
    postprocess: "Finish",
    waiting: "Waiting",
    transfer: "Transfer",
  },
  copy: "Copy",
  copied: "Copied",
  copyFailed: "Copying failed",
};
