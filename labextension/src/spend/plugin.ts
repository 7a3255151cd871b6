import { ILayoutRestorer, type JupyterFrontEnd, type JupyterFrontEndPlugin } from "@jupyterlab/application";
import { ICommandPalette, Notification } from "@jupyterlab/apputils";
import { INotebookTracker } from "@jupyterlab/notebook";
import { ISettingRegistry } from "@jupyterlab/settingregistry";
import { IStatusBar } from "@jupyterlab/statusbar";
import { ITranslator, nullTranslator } from "@jupyterlab/translation";
import { LabIcon } from "@jupyterlab/ui-components";
import { Signal } from "@lumino/signaling";

import coinSvg from "../../style/coin.svg";
import type { Request } from "../live";
import { isSet } from "../settings";
import { IKernelLinks, KernelLinks } from "./links";
import { SpendSidebar } from "./sidebar";
import { SpendStatus } from "./status";

const ID = "sekha-magics:spend";

export const commandIds = {
  show: "sekha-magics:show-panel",
  cancel: "sekha-magics:cancel",
  reset: "sekha-magics:reset-providers",
};

/** Shows what the kernel of the notebook in front spends, in the status bar and beside the notebook. */
export const spend: JupyterFrontEndPlugin<IKernelLinks> = {
  id: ID,
  description: "Shows what language models cost and how they do, in the status bar and a side panel.",
  autoStart: true,
  provides: IKernelLinks,
  requires: [INotebookTracker],
  optional: [ITranslator, ICommandPalette, IStatusBar, ILayoutRestorer, ISettingRegistry],
  activate: (
    app: JupyterFrontEnd,
    tracker: INotebookTracker,
    translator: ITranslator | null,
    palette: ICommandPalette | null,
    statusBar: IStatusBar | null,
    restorer: ILayoutRestorer | null,
    settings: ISettingRegistry | null,
  ) => {
    const trans = (translator ?? nullTranslator).load("sekha_magics");
    const links = new KernelLinks(tracker, trans);

    const sidebar = new SpendSidebar(links, tracker, trans);
    sidebar.id = "sekha-magics-spend";
    sidebar.title.icon = new LabIcon({ name: "sekha-magics:coin", svgstr: coinSvg });
    sidebar.title.caption = trans.__("Language models: spend and health");
    app.shell.add(sidebar, "right", { rank: 650, type: "Sekha" });
    restorer?.add(sidebar, sidebar.id);

    const ask = (request: Request): void => {
      links.current
        ?.request(request)
        .catch((error: unknown) =>
          Notification.error(error instanceof Error ? error.message : String(error)),
        );
    };
    app.commands.addCommand(commandIds.show, {
      label: trans.__("Show Spend and Health"),
      caption: trans.__("What language models cost in this notebook, and how their providers do"),
      execute: () => app.shell.activateById(sidebar.id),
    });
    app.commands.addCommand(commandIds.cancel, {
      label: trans.__("Cancel Running Requests"),
      caption: trans.__("End what this notebook's kernel asks language models now"),
      isEnabled: () => (links.current?.state?.running.length ?? 0) > 0,
      execute: () => ask({ type: "cancel", request_id: null }),
    });
    app.commands.addCommand(commandIds.reset, {
      label: trans.__("Reset Providers"),
      caption: trans.__("Ask providers again that were left alone after failures"),
      isEnabled: () => links.current?.isOpen ?? false,
      execute: () => ask({ type: "reset", provider_id: null }),
    });
    for (const command of Object.values(commandIds)) {
      palette?.addItem({ command, category: trans.__("Language Models") });
    }

    const isActiveChanged = new Signal<object, void>(links);
    let isWanted = true;
    links.changed.connect(() => {
      isActiveChanged.emit();
      app.commands.notifyCommandChanged(commandIds.cancel);
      app.commands.notifyCommandChanged(commandIds.reset);
    });
    const want = (value: boolean): void => {
      isWanted = value;
      isActiveChanged.emit();
    };
    void isSet(settings, ID, "statusItem", want).then(want);
    statusBar?.registerStatusItem(ID, {
      item: new SpendStatus(links, trans, () => void app.commands.execute(commandIds.show)),
      align: "right",
      rank: 900,
      isActive: () => isWanted && links.current?.state != null,
      activeStateChanged: isActiveChanged,
    });
    return links;
  },
};
