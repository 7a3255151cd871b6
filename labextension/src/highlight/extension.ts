/**
 * An editor whose first line is `%%sekha_chat` reads as Markdown, with its `{{ names }}` marked.
 *
 * The language of every other editor stays as it is: ours stands in a compartment that is empty for them, and which
 * changes only when the first line changes its kind.
 */

import { Compartment, type Extension, Prec, RangeSetBuilder } from "@codemirror/state";
import {
  Decoration,
  type DecorationSet,
  type EditorView,
  ViewPlugin,
  type ViewUpdate,
} from "@codemirror/view";

import { holesOf, type Kind, kindOf } from "./prompts";

const MAGIC = Decoration.line({ class: "sekha-MagicLine" });
const HOLE = Decoration.mark({ class: "sekha-Hole" });

const kindIn = (view: EditorView): Kind => kindOf(view.state.doc.line(1).text);

/** `markdown` is what makes text Markdown; it is waited for once, and an editor is Python until then. */
export function promptExtension(markdown: Promise<Extension | null>): Extension {
  const language = new Compartment();

  class Prompt {
    marks: DecorationSet;
    private kind: Kind;
    private isMarkdown = false;
    private isGone = false;

    constructor(private readonly view: EditorView) {
      this.kind = kindIn(view);
      this.marks = this.find();
      if (this.kind !== null) this.setLanguage();
    }

    update(update: ViewUpdate): void {
      if (!update.docChanged && !update.viewportChanged) return;
      this.kind = kindIn(this.view);
      this.marks = this.find();
      if ((this.kind !== null) !== this.isMarkdown) this.setLanguage();
    }

    destroy(): void {
      this.isGone = true;
    }

    /** An update may not change the editor, so this waits for its end. */
    private setLanguage(): void {
      void markdown.then((extension) => {
        const wanted = this.kind !== null;
        if (this.isGone || extension === null || wanted === this.isMarkdown) return;
        this.isMarkdown = wanted;
        this.view.dispatch({ effects: language.reconfigure(wanted ? extension : []) });
      });
    }

    private find(): DecorationSet {
      const marks = new RangeSetBuilder<Decoration>();
      if (this.kind !== null) {
        const { doc } = this.view.state;
        marks.add(0, 0, MAGIC);
        for (const { from, to } of this.kind === "filled" ? this.view.visibleRanges : []) {
          for (let number = Math.max(2, doc.lineAt(from).number); number <= doc.lineAt(to).number; number++) {
            const line = doc.line(number);
            for (const hole of holesOf(line.text))
              marks.add(line.from + hole.from, line.from + hole.to, HOLE);
          }
        }
      }
      return marks.finish();
    }
  }

  // The first language an editor is given is the one it has; and the last marks go around those of brackets.
  return [
    Prec.highest(language.of([])),
    Prec.lowest(ViewPlugin.fromClass(Prompt, { decorations: (prompt) => prompt.marks })),
  ];
}
