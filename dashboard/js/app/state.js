/** The page's state: one frozen object, and whoever shows something of it listens. */

/** At first; the state always has these parts. */
export const INITIAL = {
  /** state: connecting, ready, not-ready, unreachable; error: why it is not ready. */
  server: { state: "connecting", error: null },
  listing: null,
  listingError: null,
  /** {model, version}: version null follows the champion. null: whatever the server takes by default. */
  choice: null,
  /** What the model in use says of itself: its classes, what each adds to the count, and its own thresholds. */
  modelInfo: { classes: [], thresholds: null },
  /** {file, url, name}. */
  picture: null,
  /** A remark on how the picture came here. */
  remark: "",
  /** The pictures of this visit: {picture, prediction, modelInfo, roundTrip, error}, the newest first. */
  history: [],
  /**
   * The last request. state: idle, busy, done, failed; picture: what the prediction is about. The former prediction stays
   * while the next request is under way, so that the page does not flicker.
   */
  request: { state: "idle", slow: false, prediction: null, picture: null, error: null, roundTrip: 0 },
  /** null: the model's own. */
  threshold: null,
  /** How strongly the class activation map covers the picture, 0 to 1. */
  mapOpacity: 0.6,
  /** Ids of detections: under the pointer or focus, and selected by a click. */
  hovered: null,
  selected: null,
};

export function createStore(initial) {
  let state = Object.freeze(initial);
  const listeners = new Set();
  /** Several changes in a row reach the listeners once: each would render the whole page. */
  let announced = true;

  function announce() {
    announced = true;
    for (const listener of listeners) listener(state);
  }

  return {
    get: () => state,

    /** Changes parts of the state. Changes made in one go are announced once, before the next repaint. */
    set(change) {
      state = Object.freeze({ ...state, ...change });
      if (!announced) return;
      announced = false;
      queueMicrotask(announce);
    },

    subscribe(listener) {
      listeners.add(listener);
      listener(state);
    },
  };
}

/** Whether two flat objects hold the same values: what was drawn from the one need not be drawn again. */
export function sameValues(one, other) {
  return Object.keys(one).every((key) => one[key] === other?.[key]);
}
