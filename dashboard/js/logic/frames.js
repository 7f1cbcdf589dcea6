/** Live frames as the server's protocol wants them, and how fast they are answered. */

const HEADER_BYTES = 12;
/** Milliseconds over which the frame rate is taken. */
const WINDOW = 2000;

/** One frame's message: uint32 number, float64 time of capture, both big endian, then the JPEG. */
export function encodeFrame(sequence, captured, jpeg) {
  const message = new Uint8Array(HEADER_BYTES + jpeg.byteLength);
  const header = new DataView(message.buffer);
  header.setUint32(0, sequence);
  header.setFloat64(4, captured);
  message.set(new Uint8Array(jpeg), HEADER_BYTES);
  return message;
}

/** {width, height} with its longer side at most `longest`, in whole pixels; never enlarged. */
export function downscaledSize({ width, height }, longest) {
  const scale = Math.min(1, longest / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

/**
 * The answers within the window that ends with the next one, and that one.
 *
 * @param answers {at, latency}, milliseconds, the oldest first.
 */
export function withinWindow(answers, next) {
  return [...answers, next].filter(({ at }) => at > next.at - WINDOW);
}

/** {rate: answers a second, latency: their median in milliseconds}; both null until two answers are there. */
export function throughput(answers) {
  if (answers.length < 2) return { rate: null, latency: null };
  const span = answers.at(-1).at - answers[0].at;
  const sorted = answers.map(({ latency }) => latency).sort((a, b) => a - b);
  return { rate: span > 0 ? ((answers.length - 1) * 1000) / span : null, latency: sorted[Math.floor(sorted.length / 2)] };
}
