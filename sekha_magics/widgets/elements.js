/**
 * Elements, kept in place: a sketch says what should stand there, and as little as possible is changed. Text reaches the
 * page as text and as nothing else.
 */

/**
 * @typedef {string | Sketch | null | false} Child
 * @typedef {{tag: string, props: Record<string, unknown>, children: Child[]}} Sketch  of an element; `key` among its
 *   props tells it from its neighbours, otherwise its place does
 */

/** @param {string} tag @param {Record<string, unknown>} props @param {(Child | Child[])[]} children @returns {Sketch} */
export function h(tag, props, ...children) {
  return { tag, props, children: children.flat() };
}

const SVG = "http://www.w3.org/2000/svg";
const SHAPES = new Set(["svg", "g", "rect", "line"]);
const CONTROLS = new Set(["button", "input", "summary"]);
/** @type {WeakMap<Node, string>} */
const keys = new WeakMap();
/** @type {WeakMap<Element, Record<string, unknown>>} */
const drawn = new WeakMap();

/** Make the children of `parent` those of the sketches, by changing as little as possible. @param {Element} parent */
export function patch(parent, /** @type {Child[]} */ sketches) {
  /** @type {Map<string, ChildNode>} */
  const old = new Map();
  for (const node of parent.childNodes) old.set(keys.get(node) ?? "", node);
  /** @type {ChildNode[]} */
  const nodes = [];
  sketches.forEach((sketch, place) => {
    if (sketch === null || sketch === false || sketch === "") return;
    const key = typeof sketch === "string" ? `text ${place}` : `${sketch.tag} ${sketch.props.key ?? `at ${place}`}`;
    const node = old.get(key) ?? made(sketch);
    old.delete(key);
    keys.set(node, key);
    if (typeof sketch !== "string") dress(/** @type {HTMLElement} */ (node), sketch);
    else if (node.nodeValue !== sketch) node.nodeValue = sketch;
    nodes.push(node);
  });
  // What goes, goes first: then only a change of order moves an element, and a moved one loses the focus.
  for (const node of old.values()) node.remove();
  let next = parent.firstChild;
  for (const node of nodes) {
    if (node === next) next = node.nextSibling;
    else parent.insertBefore(node, next);
  }
}

/** @param {Sketch | string} sketch @returns {ChildNode} */
function made(sketch) {
  if (typeof sketch === "string") return document.createTextNode(sketch);
  if (SHAPES.has(sketch.tag)) return document.createElementNS(SVG, sketch.tag);
  const element = document.createElement(sketch.tag);
  // In a notebook, JupyterLab takes Enter and the arrows for itself from all but those that say this of themselves.
  if (CONTROLS.has(sketch.tag)) element.setAttribute("data-lm-suppress-shortcuts", "true");
  return element;
}

/** @param {HTMLElement} element @param {Sketch} sketch */
function dress(element, { props, children }) {
  const before = drawn.get(element) ?? {};
  for (const name of new Set([...Object.keys(before), ...Object.keys(props)])) {
    const value = props[name] ?? null;
    if (name === "key" || (name !== "value" && (before[name] ?? null) === value)) continue;
    if (typeof value === "function" || typeof before[name] === "function") Object.assign(element, { [name]: value });
    else if (name === "value") show(/** @type {HTMLInputElement} */ (element), String(value));
    else if (value === null || value === false) element.removeAttribute(name);
    else element.setAttribute(name, String(value));
  }
  drawn.set(element, props);
  patch(element, children);
}

/** @param {HTMLInputElement} field @param {string} value */
function show(field, value) {
  if (field.value !== value) field.value = value;
}
