/** What the session has cost so far, in the status bar: a button that opens the panel. */

import type { TranslationBundle } from "@jupyterlab/translation";
import { Widget } from "@lumino/widgets";

import { statusText } from "../../../sekha_magics/widgets/panel.js";
import { templates } from "./words";
import type { KernelLinks } from "./links";

// How often the time of a running call is counted on.
const TICK_MS = 250;

export class SpendStatus extends Widget {
  constructor(
    private readonly links: KernelLinks,
    private readonly trans: TranslationBundle,
    open: () => void,
  ) {
    super();
    this.addClass("sekha-Status");
    this.button.type = "button";
    this.button.className = "sekha-Status-button";
    this.button.addEventListener("click", open);
    this.node.append(this.button);
    links.changed.connect(this.draw, this);
    this.draw();
  }

  dispose(): void {
    if (this.isDisposed) return;
    this.links.changed.disconnect(this.draw, this);
    clearInterval(this.ticking);
    super.dispose();
  }

  private draw(): void {
    const link = this.links.current;
    const state = link?.state ?? null;
    clearInterval(this.ticking);
    if (link === null || state === null) return;
    const translate = templates(this.trans);
    const write = (): void => {
      const { text, title, level } = statusText(state, { since: link.since, translate });
      // A text that is set anew is read out anew, and its selection is lost.
      if (this.button.textContent !== text) this.button.textContent = text;
      this.button.dataset.level = level;
      this.button.title = title;
      this.button.setAttribute("aria-label", this.spoken(text, level));
    };
    write();
    if (state.running.length) this.ticking = setInterval(write, TICK_MS);
  }

  private spoken(text: string, level: string): string {
    if (level === "full") return this.trans.__("Language models: %1. A budget is used up.", text);
    if (level === "warn") return this.trans.__("Language models: %1. A budget is nearly used up.", text);
    return this.trans.__("Language models: %1", text);
  }

  private readonly button = document.createElement("button");
  private ticking: ReturnType<typeof setInterval> | undefined;
}
