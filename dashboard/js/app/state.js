/** What the page knows at first; its state always has these parts. */

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
  /** What was looked at: {picture, answer, traits, roundTrip, error}, the newest first. */
  visit: [],
  /** state: idle, busy, done, failed; picture: what the answer is about. A former answer stays while the next is under way. */
  run: { state: "idle", slow: false, answer: null, picture: null, error: null, roundTrip: 0 },
  /** null: the model's own. */
  threshold: null,
  /** Ids of detections: under the pointer or focus, and held by a click. */
  pointed: null,
  held: null,
};
