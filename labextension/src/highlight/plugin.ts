import type { JupyterFrontEndPlugin } from "@jupyterlab/application";
import {
  EditorExtensionRegistry,
  IEditorExtensionRegistry,
  IEditorLanguageRegistry,
} from "@jupyterlab/codemirror";
import { ISettingRegistry } from "@jupyterlab/settingregistry";

import { isSet } from "../settings";
import { promptExtension } from "./extension";

const ID = "sekha-magics:highlight";

/** Colours the prompt of a `%%sekha_chat` cell. */
export const highlight: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: "Colours the prompts of %%sekha_chat cells as Markdown, with {{ names }} marked.",
  autoStart: true,
  requires: [IEditorExtensionRegistry, IEditorLanguageRegistry],
  optional: [ISettingRegistry],
  activate: async (
    _app,
    extensions: IEditorExtensionRegistry,
    languages: IEditorLanguageRegistry,
    settings: ISettingRegistry | null,
  ) => {
    if (!(await isSet(settings, ID, "markdown"))) return;
    // Markdown with mathematics, as Jupyter's own Markdown cells have it.
    const markdown = languages.getLanguage("ipythongfm").then((found) => found?.support?.language ?? null);
    const extension = promptExtension(markdown);
    extensions.addExtension({
      name: ID,
      factory: () => EditorExtensionRegistry.createImmutableExtension(extension),
    });
  },
};
