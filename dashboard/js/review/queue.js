/** The pictures that wait for a person, one after the other: those of the server, fetched ahead, and a way back. */

/** @param api the module api.js. */
export function createQueue(api) {
  let model = null;
  let waiting = [];
  let seen = [];
  let counts = { open: 0, done: 0 };
  const images = new Map();

  /** The picture's address in this page; fetched once. */
  function imageOf({ id }) {
    if (!images.has(id)) {
      const fetched = api.reviewImage(id).then((blob) => URL.createObjectURL(blob));
      fetched.catch(() => images.delete(id));
      images.set(id, fetched);
    }
    return images.get(id);
  }

  function forget(id) {
    images.get(id)?.then((url) => URL.revokeObjectURL(url), () => {});
    images.delete(id);
  }

  async function fill(signal) {
    const told = await api.reviewPictures(model, "open", signal);
    counts = { open: told.open, done: told.done };
    const known = new Set(seen.map(({ id }) => id));
    waiting = told.pictures.filter(({ id }) => !known.has(id));
  }

  return {
    imageOf,
    counts: () => counts,
    current: () => waiting[0] ?? null,
    hasPast: () => seen.length > 0,

    async open(name, signal) {
      if (name !== model) seen = [];
      model = name;
      await fill(signal);
      if (waiting[0]) imageOf(waiting[0]);
    },

    /** The picture is done, with this review; the next one comes, from the server if need be. */
    async next(picture, review, signal) {
      if (!picture.review) counts = { open: Math.max(0, counts.open - 1), done: counts.done + 1 };
      waiting = waiting.filter(({ id }) => id !== picture.id);
      seen.push({ ...picture, review, revision: review.revision });
      for (const { id } of seen.splice(0, Math.max(0, seen.length - 20))) forget(id);
      if (!waiting.length && counts.open) await fill(signal);
      for (const ahead of waiting.slice(0, 3)) imageOf(ahead).catch(() => {});
    },

    /** It is gone, or somebody else had it. */
    async drop({ id }, signal) {
      waiting = waiting.filter((other) => other.id !== id);
      seen = seen.filter((other) => other.id !== id);
      forget(id);
      await fill(signal);
    },

    /** The last reviewed picture again. */
    back() {
      const last = seen.pop();
      if (last) waiting = [last, ...waiting];
    },

    /** Puts a picture behind the others, without a word about it. */
    later() {
      if (waiting.length > 1) waiting = [...waiting.slice(1), waiting[0]];
    },

    close() {
      for (const id of [...images.keys()]) forget(id);
    },
  };
}
