/**
 * The messages in the visitor's language. In this order: the language chosen here before, the one in the address, the
 * browser's first that is known, English. Only that one is fetched.
 */

import { createStoredText } from "./storage.js";

export const LANGUAGES = ["en", "fr"];
const stored = createStoredText("localStorage", "handful.language");

export const language = LANGUAGES.find((known) => known === chosen()) ?? preferred();
export const { messages } = await import(`./locales/${language}.js`);

/** Reloads the page in this language and stores the choice. Where nothing can be stored, the address carries it. */
export function setLanguage(wanted) {
  if (stored.write(wanted)) location.reload();
  else location.search = new URLSearchParams({ language: wanted });
}

function chosen() {
  return stored.read() ?? new URLSearchParams(location.search).get("language");
}

function preferred() {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}
