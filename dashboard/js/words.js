/**
 * The dictionary of the visitor's language: what was chosen here before, else the browser's first that is known, else English.
 * Only that one is fetched.
 */

export const LANGUAGES = ["en", "fr"];
const STORED = "handful.language";

export const language = LANGUAGES.find((known) => known === chosen()) ?? preferred();
export const { words } = await import(`./words/${language}.js`);

/** Keeps the choice for later visits; the page has to be loaded anew to speak it. */
export function keepLanguage(wanted) {
  localStorage.setItem(STORED, wanted);
}

function chosen() {
  try {
    return localStorage.getItem(STORED);
  } catch (error) {
    // A browser that keeps nothing for pages forbids even to ask.
    if (error.name === "SecurityError") return null;
    throw error;
  }
}

function preferred() {
  const wanted = navigator.languages.map((tag) => tag.slice(0, 2).toLowerCase());
  return wanted.find((tag) => LANGUAGES.includes(tag)) ?? "en";
}
