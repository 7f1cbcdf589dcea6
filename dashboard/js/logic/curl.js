/** The request of a prediction, as a command. */

/**
 * @param address the page's own address, below which the interface lies.
 * @param name the picture's file name.
 * @param explain whether the class activation map is asked for.
 * @param keyed whether the server wants an API key; it is taken from the environment and never written out.
 */
export function curlCommand({ address, name, model, version, confidence, explain = false, keyed }) {
  const url = new URL("api/predict", address);
  url.search = new URLSearchParams({ model, version, confidence: Number(confidence.toFixed(2)), ...(explain ? { explain } : {}) });
  const key = keyed ? ` -H "X-API-Key: $HANDFUL_API_KEY"` : "";
  return `curl${key} -F ${quoted(`image=@"${name.replace(/["\\]/g, "\\$&")}"`)} ${quoted(url.href)}`;
}

/** For a POSIX shell. */
function quoted(text) {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}
