/**
 * A model's Markdown, made ready for a Markdown parser that knows HTML and no mathematics.
 *
 * Outside of code, formulas give way to marks that no parser touches and tags become text. Inside of code everything
 * stays, but no block is one that would be drawn as a diagram.
 */

import { type Formula, formulaAt } from "./formulas";

export interface Prepared {
  markdown: string;
  formulas: Formula[];
}

// Characters for private use: a parser leaves them alone, and `markOf` finds them again.
const OPEN = "\ue000";
const CLOSE = "\ue001";
const MARK = /\ue000(\d+)\ue001/g;
const LIST = /^\s*(?:[*+-]|\d+[.)])\s/;
const FENCE = /^[ \t>*+-]*(?:\d+[.)][ \t]*)?(`{3,}|~{3,})(.*)$/;

export function prepare(text: string): Prepared {
  const formulas: Formula[] = [];
  const pieces: string[] = [];
  let prose: string[] = [];
  let fence: string | null = null;
  let isIndentedCode = false;
  let wasEmpty = true;
  let isList = false;
  const takeProse = (): void => {
    if (prose.length) pieces.push(prepareProse(prose.join("\n"), formulas));
    prose = [];
  };
  for (const line of text.replace(/[\ue000\ue001]/g, "").split("\n")) {
    const isEmpty = line.trim() === "";
    const isIndented = !isEmpty && /^(?: {4}|\t)/.test(line);
    const [, marker = null, info = ""] = FENCE.exec(line) ?? [];
    if (fence !== null) {
      pieces.push(line);
      if (marker !== null && marker.startsWith(fence) && !info.trim()) fence = null;
    } else if (isIndented && !isList && (isIndentedCode || wasEmpty)) {
      takeProse();
      pieces.push(line);
      isIndentedCode = true;
    } else if (marker !== null && !(marker[0] === "`" && info.includes("`"))) {
      takeProse();
      fence = marker;
      pieces.push(/^\s*mermaid\b/i.test(info) ? line.slice(0, line.length - info.length) : line);
    } else {
      prose.push(line);
      if (LIST.test(line)) isList = true;
      else if (wasEmpty && !isEmpty && !/^\s/.test(line)) isList = false;
    }
    isIndentedCode &&= isIndented || isEmpty;
    wasEmpty = isEmpty;
  }
  takeProse();
  return { markdown: pieces.join("\n"), formulas };
}

/** `text` cut where formulas stood: texts and formulas by turns, a text first. */
export function cutAtFormulas(text: string, formulas: readonly Formula[]): (string | Formula)[] {
  const parts: (string | Formula)[] = [];
  let from = 0;
  for (const mark of text.matchAll(MARK)) {
    const formula = formulas[Number(mark[1])];
    if (formula === undefined) continue;
    parts.push(text.slice(from, mark.index), formula);
    from = mark.index + mark[0].length;
  }
  parts.push(text.slice(from));
  return parts;
}

function prepareProse(source: string, formulas: Formula[]): string {
  let out = "";
  let at = 0;
  while (at < source.length) {
    const character = source[at] as string;
    let taken = character;
    let written = character;
    if (character === "`") {
      written = taken = source.slice(at, endOfCode(source, at));
    } else if (character === "<" && /[A-Za-z/!?]/.test(source[at + 1] ?? "")) {
      written = "&lt;";
    } else if (character === "$" || character === "\\") {
      const formula = formulaAt(source, at);
      if (formula !== null) {
        taken = source.slice(at, formula.end);
        written = `${OPEN}${formulas.push(formula) - 1}${CLOSE}`;
      } else if (character === "\\") {
        // What is escaped is not looked at again.
        taken = source.slice(at, at + 2);
        written = taken === "\\<" ? "&lt;" : taken;
      }
    }
    out += written;
    at += taken.length;
  }
  return out;
}

/** Behind the code that begins with the backticks at `at`, or behind these where none closes it. */
function endOfCode(source: string, at: number): number {
  const ticks = /^`+/.exec(source.slice(at))?.[0] ?? "`";
  const start = at + ticks.length;
  const closer = new RegExp(`(?<!\`)${ticks}(?!\`)`, "g");
  closer.lastIndex = start;
  const close = closer.exec(source);
  const paragraphEnd = source.indexOf("\n\n", start);
  if (close === null || (paragraphEnd >= 0 && paragraphEnd < close.index)) return start;
  return close.index + ticks.length;
}
