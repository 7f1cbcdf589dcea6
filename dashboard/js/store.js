/** The page's state in one frozen object; whoever shows something of it listens. */

export function createStore(initial) {
  let state = Object.freeze(initial);
  const listeners = new Set();
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
