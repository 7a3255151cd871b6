/**
 * Which parts of a text are clearly mathematics, and what of LaTeX is safe to hand to a typesetter.
 *
 * The rules are those of `sekha_magics/display/mathematics.py`, and so is the list of commands, so that an answer reads
 * the same in both: `$5 and $6` is text, and a formula passes only when every command in it is on the list.
 */

import commands from "../../../sekha_magics/display/tex_commands.txt";

export interface Formula {
  tex: string;
  display: boolean;
  /** Where it ends in the source. */
  end: number;
}

const LONGEST = 4000;
const ALLOWED = new Set(
  commands
    .split("\n")
    .filter((line) => !line.startsWith("#"))
    .flatMap((line) => line.split(/\s+/)),
);
const PUNCTUATION = "\\{}|,;:!>%&#_$- \n";
const ENVIRONMENTS = new Set(
  (
    "equation align alignat gather multline eqnarray aligned alignedat gathered split cases dcases rcases array " +
    "smallmatrix subarray matrix pmatrix bmatrix Bmatrix vmatrix Vmatrix"
  ).split(" "),
);
const OUTERMOST = /^\\begin\{((?:equation|align|alignat|gather|multline|eqnarray)\*?)\}/;
const WORDS = /\\[a-z]+|\p{L}{3,}/gu;
const OPERATOR = /[=<>+*/|^!]|(?<=[\p{L}\p{N}_)}])\s*-\s*(?=[\p{L}\p{N}_({\\])|(?<!\p{L})\p{L}_/u;
const SHORT =
  /^(?:\p{L}{1,2}'*|\p{N}+\p{L}|-?\d+(?:[.,]\d+)*|\p{L}'*(?:,\s?\p{L}'*){1,5}|(?:\p{L}'*\s?)?[([]-?[\p{L}\p{N}]{1,2}(?:,\s?-?[\p{L}\p{N}]{1,2}){0,5}[)\]])$/u;
const WORD_CHARACTER = /[\p{L}\p{N}]/u;

function isBalanced(tex: string): boolean {
  let depth = 0;
  for (const [brace] of tex.matchAll(/\\[\s\S]|[{}]/g)) {
    depth += brace === "{" ? 1 : brace === "}" ? -1 : 0;
    if (depth < 0) return false;
  }
  return depth === 0;
}

/** Whether a typesetter may be given `tex`: known commands and environments, balanced braces, a sane length. */
export function isSafeTex(tex: string): boolean {
  if (!tex.trim() || tex.length > LONGEST || !isBalanced(tex)) return false;
  if (/(?<!\\)(?:\\\\)*\$/.test(tex) || /(?<!\\)(?:\\\\)*\\$/.test(tex.trim())) return false;
  for (const [, command = ""] of tex.matchAll(/\\([A-Za-z]+|[\s\S])/g)) {
    if (!ALLOWED.has(command) && !PUNCTUATION.includes(command)) return false;
  }
  const environments = [...tex.matchAll(/\\(?:begin|end)\s*\{([^{}]*)\}/g)];
  const opened = [...tex.matchAll(/\\(?:begin|end)(?![A-Za-z])/g)].length;
  return (
    opened === environments.length &&
    environments.every(([, name = ""]) => ENVIRONMENTS.has(name.replace(/\*$/, "")))
  );
}

/** Whether what stands between two single dollars is a formula, and not the text between two prices. */
export function isClearlyMathematics(tex: string): boolean {
  if (!isSafeTex(tex) || tex !== tex.trim() || tex.includes("\n\n")) return false;
  const words = [...tex.matchAll(WORDS)].filter(([word]) => !word.startsWith("\\"));
  if (/\\[A-Za-z]/.test(tex)) return words.length <= 12;
  return words.length === 0 && (OPERATOR.test(tex) || SHORT.test(tex));
}

/** The formula that begins at `start` of `source`, if one does. */
export function formulaAt(source: string, start: number): Formula | null {
  const two = source.slice(start, start + 2);
  const environment = two === "\\b" ? OUTERMOST.exec(source.slice(start, start + 30))?.[1] : undefined;
  if (environment !== undefined) {
    const closer = `\\end{${environment}}`;
    const length = source.slice(start, start + LONGEST).indexOf(closer) + closer.length;
    if (length < closer.length) return null;
    const end = start + length;
    const tex = source.slice(start, end);
    return !tex.includes("\n\n") && isSafeTex(tex) ? { tex, display: true, end } : null;
  }
  const opener = two === "$$" || two === "\\(" || two === "\\[" ? two : two[0] === "$" ? "$" : null;
  if (opener === null) return null;
  const closer = opener === "\\(" ? "\\)" : opener === "\\[" ? "\\]" : opener;
  const inside = start + opener.length;
  // No further than a formula may be long, so that a text full of openers takes no time.
  const within = source.slice(inside, inside + LONGEST + closer.length);
  let close = within.indexOf(closer);
  while (close > 0 && closer[0] === "$" && within[close - 1] === "\\")
    close = within.indexOf(closer, close + 1);
  if (close < 0) return null;
  const tex = within.slice(0, close);
  const end = inside + close + closer.length;
  if (tex.includes("\n\n") || (opener !== closer && tex.includes(opener))) return null;
  if (opener === "$") {
    const before = source[start - 1] ?? "";
    const after = source[end] ?? "";
    const touchesAWord =
      WORD_CHARACTER.test(before) ||
      "$\\".includes(before || " ") ||
      WORD_CHARACTER.test(after) ||
      after === "$";
    if (touchesAWord || !isClearlyMathematics(tex)) return null;
    return { tex: tex.replace(/\n/g, " "), display: false, end };
  }
  if (!isSafeTex(tex)) return null;
  return { tex: tex.trim(), display: opener !== "\\(", end };
}
