import type { ISettingRegistry } from "@jupyterlab/settingregistry";

/**
 * Whether a yes or no of a plugin's settings is yes; `tell` hears of every change. Without settings it is.
 *
 * A page may lack the settings of a plugin, which is said in its console and is no reason not to work.
 */
export async function isSet(
  registry: ISettingRegistry | null,
  plugin: string,
  key: string,
  tell?: (value: boolean) => void,
): Promise<boolean> {
  if (registry === null) return true;
  try {
    const settings = await registry.load(plugin);
    const read = (): boolean => settings.get(key).composite !== false;
    if (tell) settings.changed.connect(() => tell(read()));
    return read();
  } catch (error) {
    console.error(`The settings of ${plugin} cannot be read.`, error);
    return true;
  }
}
