/** Puts index.html into the visitor's language, and lets another be chosen. */

import { language, LANGUAGES, messages, setLanguage } from "../i18n.js";
import { byPart } from "./dom.js";

const ATTRIBUTES = ["aria-label", "content"];

/** Texts are found by their English wording, so the page stays readable as it is; a test holds that none is forgotten. */
export function translatePage(page = document) {
  page.documentElement.lang = language;
  if (!messages.page) return;
  const walk = page.createTreeWalker(page.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const own = walk.currentNode.data.trim().replace(/\s+/g, " ");
    if (messages.page[own]) walk.currentNode.data = walk.currentNode.data.replace(walk.currentNode.data.trim(), messages.page[own]);
  }
  for (const name of ATTRIBUTES) {
    for (const element of page.querySelectorAll(`[${name}]`)) {
      const said = messages.page[element.getAttribute(name)];
      if (said) element.setAttribute(name, said);
    }
  }
}

export function createLanguage() {
  const button = byPart("language");
  const other = LANGUAGES.find((known) => known !== language);
  button.lang = other;
  button.textContent = messages.otherLanguage;
  button.hidden = false;
  button.addEventListener("click", () => setLanguage(other));
}
