/**
 * An answer in an output: its badge, its text, and how it came about.
 *
 * The text is the one of our own type in the bundle; nothing else of the output is drawn. It stands at once, as it was
 * written, and is rendered a moment later, so that the page does not jump when an answer replaces its last frame.
 */

import type { IRenderMime } from "@jupyterlab/rendermime";
import type { TranslationBundle } from "@jupyterlab/translation";
import { Widget } from "@lumino/widgets";

import { type AskCandidates, badge } from "./badge";
import { element } from "./elements";
import { type Facts, readFacts } from "./facts";
import { harmless } from "./harmless";
import { prepare } from "./source";
import { notesOf } from "./words";

export const MIME_TYPE = "application/vnd.sekha.chat.v1+json";

const LONGEST_RENDERED = 200_000;

export interface Means {
  trans: TranslationBundle;
  parser: IRenderMime.IMarkdownParser | null;
  typesetter: IRenderMime.ILatexTypesetter | null;
  ask: (node: HTMLElement, decisionId: string) => ReturnType<AskCandidates>;
}

export class Answer extends Widget implements IRenderMime.IRenderer {
  constructor(private readonly means: Means) {
    super();
    this.addClass("sekha-Answer");
  }

  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const facts = readFacts(model.data[MIME_TYPE], model.metadata.sekha);
    const { trans } = this.means;
    const turn = ++this.turn;
    const body = element("div", "sekha-Answer-text jp-RenderedHTMLCommon", this.asWritten(facts));
    const notes = notesOf(facts, trans).map((note) => element("li", "", note));
    this.node.replaceChildren(
      badge(facts, trans, (decisionId) => this.means.ask(this.node, decisionId)),
      body,
      ...(notes.length ? [element("ul", "sekha-Answer-notes", ...notes)] : []),
    );
    const rendered = await this.rendered(facts);
    if (rendered === null || turn !== this.turn || this.isDisposed) return;
    body.replaceChildren(rendered);
    if (body.querySelector(".math")) this.means.typesetter?.typeset(body);
  }

  private asWritten({ text, format }: Facts): HTMLElement {
    if (!text.trim()) return element("p", "", this.means.trans.__("(the answer is empty)"));
    return element("pre", "sekha-Plain", (format === "json" && indented(text)) || text);
  }

  /** The answer as rich text, or null where it stays as written. */
  private async rendered({ text, format }: Facts): Promise<Node | null> {
    const { parser, trans } = this.means;
    const isMarkdown = format === "markdown" || format === "code";
    if (!isMarkdown || parser === null || !text.trim() || text.length > LONGEST_RENDERED) return null;
    const { markdown, formulas } = prepare(text);
    const made = harmless(await parser.render(markdown), formulas, trans.__("image"));
    if (format === "markdown") return made;
    const blocks = [...made.querySelectorAll("pre")];
    return blocks.length ? element("div", "", ...blocks) : null;
  }

  private turn = 0;
}

function indented(text: string): string | null {
  const fenced = /^\s*```[^\n]*\n([\s\S]*?)\n```\s*$/.exec(text);
  try {
    return JSON.stringify(JSON.parse(fenced?.[1] ?? text), null, 2);
  } catch {
    return null;
  }
}
