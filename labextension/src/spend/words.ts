import type { TranslationBundle } from "@jupyterlab/translation";

/** Translates a text whose `%1` to `%4` the panel fills in itself: each is filled in with itself. */
export const templates =
  (trans: TranslationBundle) =>
  (text: string): string =>
    trans.__(text, "%1", "%2", "%3", "%4");
