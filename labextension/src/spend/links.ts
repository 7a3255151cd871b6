/** The links to all kernels of the open notebooks, and which of them is looked at. */

import type { INotebookTracker, NotebookPanel } from "@jupyterlab/notebook";
import type { Kernel } from "@jupyterlab/services";
import type { TranslationBundle } from "@jupyterlab/translation";
import { Token } from "@lumino/coreutils";
import { type ISignal, Signal } from "@lumino/signaling";

import { KernelLink } from "./link";

export interface IKernelLinks {
  /** The link to this kernel, if it is a notebook's. */
  of(kernel: Kernel.IKernelConnection | null): KernelLink | null;
}

export const IKernelLinks = new Token<IKernelLinks>(
  "sekha-magics:IKernelLinks",
  "What the kernels of notebooks say of their spending.",
);

export class KernelLinks implements IKernelLinks {
  constructor(
    private readonly tracker: INotebookTracker,
    private readonly trans: TranslationBundle,
  ) {
    tracker.forEach((panel) => this.follow(panel));
    tracker.widgetAdded.connect((_, panel) => this.follow(panel));
    tracker.currentChanged.connect(() => this.choose());
    this.choose();
  }

  /** When another kernel is looked at, or it says something new. */
  get changed(): ISignal<this, void> {
    return this.signal;
  }

  /** Of the notebook in front; null where it has no kernel, or there is no notebook. */
  get current(): KernelLink | null {
    return this.chosen;
  }

  of(kernel: Kernel.IKernelConnection | null): KernelLink | null {
    const link = kernel === null ? undefined : this.links.get(kernel);
    return link === undefined || link.isDisposed ? null : link;
  }

  private follow({ sessionContext }: NotebookPanel): void {
    const take = (kernel: Kernel.IKernelConnection | null | undefined): void => {
      if (kernel && this.of(kernel) === null) this.links.set(kernel, new KernelLink(kernel, this.trans));
      this.choose();
    };
    take(sessionContext.session?.kernel);
    sessionContext.kernelChanged.connect((_, { newValue }) => take(newValue));
  }

  private choose(): void {
    const link = this.of(this.tracker.currentWidget?.sessionContext.session?.kernel ?? null);
    if (link !== this.chosen) {
      this.chosen?.changed.disconnect(this.pass, this);
      this.chosen = link;
      link?.changed.connect(this.pass, this);
    }
    this.signal.emit();
  }

  private pass(): void {
    this.signal.emit();
  }

  private readonly signal = new Signal<this, void>(this);
  private readonly links = new WeakMap<Kernel.IKernelConnection, KernelLink>();
  private chosen: KernelLink | null = null;
}
