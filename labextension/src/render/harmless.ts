/**
 * HTML from a stranger, built anew from what is known to be harmless.
 *
 * It is read into a document of its own, where nothing runs and nothing is loaded, and what is on the lists is made
 * again, element by element. An image is a link to it. No dollar and no backslash begins mathematics, except where a
 * formula stood.
 */

import type { Formula } from "./formulas";
import { cutAtFormulas } from "./source";

const ELEMENTS = new Set(
  (
    "a b blockquote br code dd del div dl dt em h1 h2 h3 h4 h5 h6 hr i kbd li ol p pre s span strong sub sup table " +
    "tbody td th thead tr ul"
  ).split(" "),
);
// What stands in these is not text for people.
const DROPPED = new Set(
  "script style template noscript iframe object embed head title textarea select svg math".split(" "),
);
const LINK = /^(?:https?:\/\/|mailto:)\S|^#/i;
const LOADABLE = /^https?:\/\//i;
const COLOURED = /^(?:ͼ|cm-|tok-|language-)/;
const DEEPEST = 60;

/** The harmless part of `html`, with its formulas in place. */
export function harmless(html: string, formulas: readonly Formula[], imageLabel: string): DocumentFragment {
  const made = document.createDocumentFragment();
  const read = new DOMParser().parseFromString(html, "text/html");
  addChildren(made, read.body, { formulas, imageLabel, isCode: false, isLinked: false, depth: 0 });
  return made;
}

interface Place {
  formulas: readonly Formula[];
  imageLabel: string;
  isCode: boolean;
  isLinked: boolean;
  depth: number;
}

function addChildren(to: Node, from: Node, place: Place): void {
  for (const child of from.childNodes) {
    if (child.nodeType === Node.TEXT_NODE) addText(to, child.nodeValue ?? "", place);
    else if (child instanceof Element || child.nodeType === Node.ELEMENT_NODE)
      addElement(to, child as Element, place);
  }
}

function addElement(to: Node, element: Element, place: Place): void {
  const name = element.localName;
  if (name === "img") {
    addImage(to, element, place);
  } else if (name === "input" && element.getAttribute("type") === "checkbox") {
    to.appendChild(document.createTextNode(element.hasAttribute("checked") ? "☑ " : "☐ "));
  } else if (place.depth >= DEEPEST) {
    to.appendChild(document.createTextNode(element.textContent ?? ""));
  } else if (!DROPPED.has(name)) {
    const inside = {
      ...place,
      depth: place.depth + 1,
      isCode: place.isCode || name === "code" || name === "pre",
    };
    if (!ELEMENTS.has(name)) return addChildren(to, element, inside);
    const made = document.createElement(name);
    if (name === "a")
      inside.isLinked = setLink(made as HTMLAnchorElement, element.getAttribute("href") ?? "");
    setAttributes(made, element, inside.isCode);
    addChildren(made, element, inside);
    to.appendChild(made);
  }
}

function setLink(made: HTMLAnchorElement, address: string): boolean {
  if (!LINK.test(address)) return false;
  made.setAttribute("href", address);
  if (!address.startsWith("#")) {
    made.target = "_blank";
    made.rel = "noopener noreferrer";
  }
  return true;
}

function setAttributes(made: HTMLElement, from: Element, isCode: boolean): void {
  if (isCode) {
    const classes = [...from.classList].filter((name) => COLOURED.test(name));
    if (classes.length) made.className = classes.join(" ");
  }
  const align = from.getAttribute("align");
  if ((made.localName === "td" || made.localName === "th") && /^(?:left|center|right)$/.test(align ?? "")) {
    made.style.textAlign = align as string;
  }
  const start = from.getAttribute("start");
  if (made.localName === "ol" && /^\d{1,9}$/.test(start ?? "")) made.setAttribute("start", start as string);
}

function addImage(to: Node, image: Element, place: Place): void {
  const alt = image.getAttribute("alt") ?? "";
  const label = document.createTextNode(alt ? `[${place.imageLabel}: ${alt}]` : `[${place.imageLabel}]`);
  const address = image.getAttribute("src") ?? "";
  if (place.isLinked || !LOADABLE.test(address)) {
    to.appendChild(label);
    return;
  }
  const link = document.createElement("a");
  setLink(link, address);
  link.appendChild(label);
  to.appendChild(link);
}

function addText(to: Node, text: string, place: Place): void {
  for (const part of cutAtFormulas(text, place.formulas)) {
    if (typeof part === "string") addPlain(to, part);
    else if (place.isCode) addPlain(to, part.tex);
    else addFormula(to, part);
  }
}

function addFormula(to: Node, { tex, display }: Formula): void {
  const delimiter = tex.startsWith("\\begin{") && display ? "" : display ? "$$" : "$";
  const span = document.createElement("span");
  span.className = "math";
  span.textContent = `${delimiter}${tex}${delimiter}`;
  to.appendChild(span);
}

/** A typesetter looks for delimiters in one run of text at a time: alone in an element, none finds its partner. */
function addPlain(to: Node, text: string): void {
  for (const piece of text.split(/([$\\])/)) {
    if (piece === "$" || piece === "\\") {
      const span = document.createElement("span");
      span.textContent = piece;
      to.appendChild(span);
    } else if (piece) {
      to.appendChild(document.createTextNode(piece));
    }
  }
}
