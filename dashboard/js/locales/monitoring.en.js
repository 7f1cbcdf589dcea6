/** English words of the view Monitoring. */

const FEATURES = {
  megapixels: "Size in megapixels",
  aspect: "Width by height",
  brightness: "Brightness",
  contrast: "Contrast",
  sharpness: "Sharpness",
  green_red: "Green to red",
  blue_yellow: "Blue to yellow",
  saturation: "Strength of colours",
  jpeg_quality: "JPEG quality",
  format: "File format",
  detections: "Objects found",
  count: "Count",
  first_class: "First class",
  score_largest: "Score of the surest object",
  score_mean: "Mean score",
  score_smallest: "Score of the least sure object",
  box_area: "Mean size of objects",
  box_area_largest: "Size of the largest object",
  box_aspect: "Objects' width by height",
  box_x: "Place from left to right",
  box_y: "Place from top to bottom",
  probability: "Probability of the first class",
  margin: "Lead of the first class",
  entropy: "Undecidedness",
  set_size: "Classes in question",
  distance: "Distance from training images",
  embedding_rest: "Strangeness to the network",
};

const answers = (count) => `${count} ${count === 1 ? "answer" : "answers"}`;

export const monitoring = {
  title: "Monitoring",
  lead: "What each model is asked and answers now, beside what it was accepted on. Only numbers are kept, never a picture.",
  loading: "Asking the monitor…",
  name: (feature) => FEATURES[feature] ?? feature.replace(/^detections\.(.*)/, "Number of “$1”").replace(/^embedding_(\d+)/, "Look of the picture, direction $1").replaceAll("_", " "),
  says: (feature) => feature.says,
  noSource: "no source named",
  states: { changed: "Changed", steady: "As in training", "too few": "Too few to say", gathering: "Gathering" },
  streams: "Who is watched",

  notices: {
    absent: {
      title: "No monitor is running",
      detail: "It compares what your models see with what they were accepted on, and says when that has changed. Start it with one of these:",
    },
    starting: { title: "The monitor has just started", detail: "It reads the log first. This page notices by itself when it is done." },
    away: {
      title: "MLflow does not answer",
      detail: (when) => `This is what was known on ${when}. Nothing is lost: the monitor goes on where it stopped. Start MLflow again.`,
    },
    failed: { title: "The monitor could not finish its last round", detail: (why, when) => `${why}. This is what was known on ${when}.` },
    empty: {
      title: "Nothing to compare yet",
      detail: "Ask a model something: what it answers counts here some minutes later. Give each camera a name, so that it is compared by itself:",
    },
  },

  verdict: {
    steady: "Pictures and answers are as in training.",
    gathering: (rows, needed) => `${rows} of ${needed} answers for the first verdict.`,
    gatheringMore: (rows, needed) => `${rows} of ${needed} answers wait for the next verdict.`,
    tooFewRows: (rows) => `Only ${answers(rows)}: too few to say anything.`,
    tooSimilar: (rows, different) => `${answers(rows)} show only about ${different} different pictures: a camera may be stuck, or a client sends the same picture again and again.`,
    more: (count) => `And ${count} more, see below.`,
    once: (says) => `In the newest answers alone: ${says}. It counts as a change if the next ones say so, too.`,
    since: (when, count) => (count === 1 ? `First said on ${when}.` : `Since ${when}, ${count} verdicts in a row.`),
    window: (rows, when) => `The newest one, on ${when}, looked at ${answers(rows)}.`,
    what: "What now",
    next: {
      changed: "Look at some of the new pictures. Are the answers still right? Then nothing is to be done. If not, label some of these pictures and train with them. Nothing is trained or promoted by itself.",
      steady: "Nothing is to be done.",
      "too few": "Wait for more pictures, or see whether the camera still moves.",
      gathering: "Nothing is to be done: the monitor decides as soon as there are enough.",
    },
    mlflow: "Open in MLflow",
    report: "Report by Evidently",
  },

  history: {
    title: "Verdicts so far",
    none: "This is the first verdict, or none is known yet.",
    entry: (when, state, changed) => `${when}: ${state}${changed ? ` (${changed})` : ""}`,
    count: (changed, all) => `${changed} of the last ${all} verdicts say “changed”.`,
  },

  features: {
    title: "Then and now",
    then: "In training",
    now: "Now",
    none: "no value",
    missing: (share) => `${share} without a value`,
    others: "all others",
    nothing: "nothing",
    same: (count) => (count === 1 ? "1 more feature is as in training" : `${count} more features are as in training`),
    drawing: (name, then, now) => `${name}: ${then} in training, ${now} now`,
    noComparison: "There is no comparison to show.",
  },

  traffic: {
    title: "Requests and latency",
    hours: "Over",
    spans: { 6: "6 hours", 24: "24 hours", 168: "7 days" },
    requests: "Requests a minute",
    latency: "95% answered within, ms",
    ago: { hours: "hours ago", days: "days ago" },
    none: "No requests in this time.",
    fromLog: "Counted from the log, which is some minutes late and knows no latency. With Prometheus running there is both.",
    fromPrometheus: "Measured by Prometheus.",
    line: (name, last) => `${name}: ${last} at last`,
  },
  updated: (time) => `The monitor last looked on ${time}`,
};
