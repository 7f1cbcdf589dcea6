/**
 * The dictionary of the visitor's language: what was chosen here before, else what the address says, else the browser's first
 * that is known, else English. Only that one is fetched.
 */

import { createKept } from "./kept.js";

export const LANGUAGES = ["en", "fr"];
const kept = createKept("localStorage", "handful.language");

export const language = LANGUAGES.find((known) => known === chosen()) ?? preferred();
export const { words } = await import(`./words/${language}.js`);

/** Loads the page anew in this language, and keeps the choice for later visits; where it cannot be kept, the address says it. */
export function speak(wanted) {
  if (kept.write(wanted)) location.reload();
  else location.search = new URLSearchParams({ language: wanted });
}

function chosen() {
  return kept.read() ?? new URLSearchParams(location.search).get("language");
}

function preferred() {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}
