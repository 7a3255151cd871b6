/** Facts as people read them, in the words of `sekha_magics/display`. */

import type { TranslationBundle } from "@jupyterlab/translation";

import { money } from "../../../sekha_magics/widgets/panel.js";
import type { Usd } from "../live";
import type { Facts } from "./facts";

type Say = Pick<TranslationBundle, "__" | "_n">;

const grouped = (count: number): string => String(Math.round(count)).replace(/\B(?=(\d{3})+(?!\d))/g, ",");

/** `$0.0123`, `free`, `unpriced`; `~` before an estimate. */
export function costText(usd: Usd, source: string, say: Say): string {
  if (source === "free" && (usd === null || /^-?0*\.?0*$/.test(usd))) return say.__("free");
  if (usd === null || source === "unpriced") return say.__("unpriced");
  return `${source === "estimated" ? "~" : ""}${money(usd)}`;
}

/** Of a model, zero is a price: it is free. */
export const estimateText = (usd: Usd, say: Say): string =>
  costText(usd, usd !== null && /^0*\.?0*$/.test(usd) ? "free" : "", say);

/** `850 ms`, `2.3 s`, `3 min 5 s`. */
export function timeText(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.round(milliseconds)} ms`;
  const seconds = milliseconds / 1000;
  if (seconds < 60) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

/** `24 in (4 cached), 12 out`, or nothing when the file says nothing. */
export function tokensText({ inputTokens, outputTokens, cachedTokens }: Facts, say: Say): string {
  if (inputTokens === null || outputTokens === null) return "";
  const cached = cachedTokens ? ` (${say.__("%1 cached", grouped(cachedTokens))})` : "";
  return `${say.__("%1 in", grouped(inputTokens))}${cached}, ${say.__("%1 out", grouped(outputTokens))}`;
}

/** How the answer came about, one sentence each, as they stand under it. */
export function notesOf(facts: Facts, say: Say): string[] {
  const endings: Record<string, string> = {
    length: say.__("The answer is cut: it reached the limit of output tokens."),
    content_filter: say.__("The answer is cut: the provider's content filter ended it."),
  };
  const ending = Object.hasOwn(endings, facts.finishReason) ? endings[facts.finishReason] : undefined;
  const memory = facts.memory.length ? [memoryText(facts, say)] : [];
  return [...memory, ...facts.notes, ...(ending === undefined ? [] : [ending])];
}

function memoryText({ memory }: Facts, say: Say): string {
  const places = [...new Set(memory.map((q) => `${q.conversation} (${q.day})`))];
  const more = places.length > 3 ? ` ${say.__("and %1 more", places.length - 3)}` : "";
  const many = say._n("1 quotation", "%1 quotations", memory.length);
  return `${say.__("from memory: %1 of %2", many, places.slice(0, 3).join(", "))}${more}`;
}
