/** Which of its faces the stage shows. */

/**
 * A picture's own state goes before the server's: an answer stays on the screen although the server went away.
 * Until the server has said something, the page takes it to be there: that is soon known, and nothing flickers.
 *
 * @returns "empty" | "no-model" | "unreachable" | "busy" | "answer" | "failed"
 */
export function faceOf({ picture, run, server }) {
  if (picture && run.state === "busy") return "busy";
  if (picture && run.state === "done") return "answer";
  if (picture && run.state === "failed") return "failed";
  return { "not-ready": "no-model", unreachable: "unreachable" }[server.state] ?? "empty";
}

/**
 * A message cut into text and commands, which the server puts between backticks. A command is shown on a line of its own,
 * so the comma or full stop after it goes.
 *
 * @returns parts in order, each {text} or {command}.
 */
export function parts(message) {
  return message
    .split(/`([^`]+)`/)
    .map((piece, place) => (place % 2 ? { command: piece } : { text: place ? piece.replace(/^[,.;:]?\s*/, "") : piece }))
    .filter((part) => part.command ?? part.text);
}
