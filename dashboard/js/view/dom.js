/** Making elements. Data goes in as text nodes and attributes, so nothing in it is ever read as HTML. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element with these attributes (null and false leave one out, true sets it empty) and children. */
export function html(tag, attributes, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** The same for an SVG element. */
export function svg(tag, attributes, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A mark of the page's own set, by the id it has in index.html. */
export function icon(name) {
  return svg("svg", { class: "icon", "aria-hidden": "true" }, svg("use", { href: `#icon-${name}` }));
}

/** The one element that index.html marks with this `data-part`. */
export function byPart(name, root = document) {
  const found = root.querySelector(`[data-part="${name}"]`);
  if (!found) throw new Error(`index.html has no part ${name}`);
  return found;
}

/** Shows a text in a status line, as an alert or not. The same text stays: a screen reader would read it again. */
export function showMessage(element, text, isAlert = false) {
  if (element.textContent !== text) element.textContent = text;
  element.classList.toggle("alert", isAlert);
}

/** The class that colours what belongs to a class id. */
export function hue(id) {
  return `hue-${id % 10}`;
}

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
