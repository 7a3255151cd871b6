import type { JupyterFrontEndPlugin } from "@jupyterlab/application";
import { INotebookTracker } from "@jupyterlab/notebook";
import { IRenderMimeRegistry } from "@jupyterlab/rendermime";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { ITranslator, nullTranslator } from "@jupyterlab/translation";

import { IKernelLinks } from "../spend/links";
import { isSet } from "../settings";
import { Answer, MIME_TYPE } from "./answer";
import { readCandidate } from "./facts";

const ID = "sekha-magics:render";
// Before text/html and what else stands in the bundle.
const RANK = 40;

/** Draws answers with a badge; without it they are shown as the HTML that the kernel made. */
export const render: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: "Draws answers of language models with who answered, what it cost, and why.",
  autoStart: true,
  requires: [IRenderMimeRegistry],
  optional: [ITranslator, INotebookTracker, IKernelLinks, ISettingRegistry],
  activate: async (
    _app,
    rendermime: IRenderMimeRegistry,
    translator: ITranslator | null,
    tracker: INotebookTracker | null,
    links: IKernelLinks | null,
    settings: ISettingRegistry | null,
  ) => {
    if (!(await isSet(settings, ID, "badge"))) return;
    const trans = (translator ?? nullTranslator).load("sekha_magics");
    const needsKernel = (): Error =>
      new Error(
        trans.__("The file does not hold the candidates; the kernel that chose does, while it runs."),
      );
    const ask = async (node: HTMLElement, decisionId: string) => {
      const panel = tracker?.find((one) => one.node.contains(node));
      const link = links?.of(panel?.sessionContext.session?.kernel ?? null) ?? null;
      if (link === null || !link.isOpen) throw needsKernel();
      const { candidates } = await link.request({ type: "candidates", decision_id: decisionId });
      return (candidates ?? []).map(readCandidate);
    };
    rendermime.addFactory(
      {
        safe: true,
        mimeTypes: [MIME_TYPE],
        createRenderer: (options) =>
          new Answer({
            trans,
            parser: options.markdownParser ?? rendermime.markdownParser,
            typesetter: options.latexTypesetter ?? rendermime.latexTypesetter,
            ask,
          }),
      },
      RANK,
    );
  },
};
