/** The side panel: what the kernel of the notebook in front spends, and how its providers do. */

import type { INotebookTracker } from "@jupyterlab/notebook";
import type { TranslationBundle } from "@jupyterlab/translation";
import { Widget } from "@lumino/widgets";

import { Panel } from "../../../sekha_magics/widgets/panel.js";
import type { KernelLink } from "./link";
import type { KernelLinks } from "./links";
import { templates } from "./words";

export class SpendSidebar extends Widget {
  constructor(
    private readonly links: KernelLinks,
    private readonly tracker: INotebookTracker,
    private readonly trans: TranslationBundle,
  ) {
    super();
    this.addClass("sekha-Sidebar");
    this.node.setAttribute("role", "region");
    this.node.setAttribute("aria-label", trans.__("Language models"));
    links.changed.connect(this.draw, this);
    this.draw();
  }

  dispose(): void {
    if (this.isDisposed) return;
    this.links.changed.disconnect(this.draw, this);
    this.panel?.dispose();
    super.dispose();
  }

  private draw(): void {
    const link = this.links.current;
    if (this.panel === null || link !== this.shown) {
      this.panel?.dispose();
      this.panel = this.panelOf(link);
      this.shown = link;
    }
    if (link?.state) this.panel.update(link.state);
    else this.panel.fail(link?.failure ?? this.nothing(link));
  }

  private nothing(link: KernelLink | null): string {
    if (this.tracker.currentWidget === null) return this.trans.__("Open a notebook to see what it spends.");
    if (link === null) return this.trans.__("This notebook has no kernel.");
    if (link.isAsking) return this.trans.__("Waiting for the kernel …");
    return this.trans.__(
      "This notebook's kernel has not loaded sekha_magics. Run %load_ext sekha_magics in a cell.",
    );
  }

  private panelOf(link: KernelLink | null): Panel {
    return new Panel(this.node, {
      request: (message) => {
        if (link === null) return Promise.reject(new Error(this.nothing(link)));
        return link.request(message);
      },
      openCell: (cellId) => this.openCell(cellId),
      translate: templates(this.trans),
    });
  }

  private openCell(cellId: string): void {
    const notebook = this.tracker.currentWidget?.content;
    const index = notebook?.widgets.findIndex((cell) => cell.model.id === cellId) ?? -1;
    if (!notebook || index < 0) return;
    notebook.deselectAll();
    notebook.activeCellIndex = index;
    void notebook.scrollToItem(index, "auto").then(() => notebook.node.focus());
  }

  private panel: Panel | null = null;
  private shown: KernelLink | null = null;
}
