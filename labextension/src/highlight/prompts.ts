/** What is a prompt cell, and where its `{{ names }}` stand. */

const FIRST_LINE = /^[ \t]*%%sekha_chat(?=\s|$)(.*)/;
// As in `sekha_magics/core/interpolate.py`: what does not begin like a name is text.
const HOLE = /\{\{(?!\{)((?:[^{}"'\n]|"[^"\n]*"|'[^'\n]*')*)\}\}/g;

/** "filled": a prompt with names filled in. "raw": a prompt sent as it stands. null: something else. */
export type Kind = "filled" | "raw" | null;

export function kindOf(firstLine: string): Kind {
  const options = FIRST_LINE.exec(firstLine)?.[1];
  if (options === undefined) return null;
  return /(?:^|\s)--raw(?=\s|$)/.test(options) ? "raw" : "filled";
}

/** The spans of one line that are filled in from the notebook. */
export function holesOf(line: string): { from: number; to: number }[] {
  return [...line.matchAll(HOLE)]
    .filter(([, inner = ""]) => /^[\p{L}_]/u.test(inner.trim()))
    .map((hole) => ({ from: hole.index, to: hole.index + hole[0].length }));
}
