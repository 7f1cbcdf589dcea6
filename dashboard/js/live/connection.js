/** One live connection: the newest frame goes out when the one before was answered. */

import { liveSocket } from "../api.js";
import { encodeFrame } from "../logic/frames.js";
import { MIN_CONFIDENCE, withIds } from "../logic/prediction.js";

/** The server's code for too many connections at once. */
export const TOO_MANY = 1013;

/**
 * @param source {grab(): Promise<ArrayBuffer>, next(): Promise<number>}: `next` waits for a fresh frame of the camera and
 *   gives how many there were so far.
 * @param settings {model, version, explain}; model or version may be missing.
 * @param on {ready(), result(answer, latency), problem(problem, fatal), closed(code), passed(count)}.
 */
export function openConnection(source, settings, on) {
  const socket = liveSocket({ ...settings, confidence: MIN_CONFIDENCE });
  let sequence = 0;
  let first = null;
  let open = true;
  const connected = new Promise((done) => socket.addEventListener("open", done, { once: true }));
  /** The server accepts or refuses settings in the order in which they were sent: each reply belongs to the first that waits. */
  const replies = [];

  async function send() {
    const seen = await source.next();
    if (!open) return;
    first ??= seen;
    const captured = performance.now();
    const jpeg = await source.grab();
    if (!open || socket.readyState !== WebSocket.OPEN) return;
    socket.send(encodeFrame(sequence, captured, jpeg));
    sequence += 1;
    on.passed(seen - first + 1 - sequence);
  }

  socket.addEventListener("message", ({ data }) => {
    if (!open) return;
    const said = JSON.parse(data);
    if (said.type === "ready") on.ready();
    if (said.type === "result") on.result(withIds(said), performance.now() - said.captured);
    if (said.type === "settings") replies.shift()?.(null);
    const frameDone = said.type === "ready" || said.sequence !== undefined;
    if (said.type === "error") {
      if (frameDone || said.fatal) on.problem(said.problem, said.fatal);
      else replies.shift()?.(said.problem);
    }
    if (frameDone && !said.fatal) send();
  });
  socket.addEventListener("close", ({ code }) => {
    if (open) on.closed(code);
    open = false;
  });

  return {
    /** Changes the settings of this connection while frames go on. Gives the problem if they are refused, else null. */
    async set(changed) {
      await connected;
      socket.send(JSON.stringify(changed));
      return new Promise((done) => replies.push(done));
    },
    close() {
      open = false;
      socket.close();
    },
  };
}
