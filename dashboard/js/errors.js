/** What can go wrong between this page and its server. */

/** The server answered that it will not or cannot do this (RFC 9457). */
export class Problem extends Error {
  constructor({ status, kind = "", retryAfter = null, title = "", detail = "", requestId = "" }) {
    super(detail || title || `status ${status}`);
    this.name = "Problem";
    this.status = status;
    /** The last word of its type, such as "overloaded". */
    this.kind = kind;
    /** Seconds after which the server would have it asked again, if it said so. */
    this.retryAfter = retryAfter;
    this.title = title;
    this.detail = detail;
    this.requestId = requestId;
  }
}

/** No answer of the server arrived: it is down, or the connection broke. */
export class UnreachableError extends Error {
  constructor(cause) {
    super("the server does not answer", { cause });
    this.name = "Unreachable";
  }
}

/** Returns an error of the server or the network; rethrows any other, which is a bug of this page and must be seen. */
export function rethrowUnknown(error) {
  if (error instanceof Problem || error instanceof UnreachableError) return error;
  throw error;
}
