/** What is told in words: spans, costs, budgets, states. All of it can be translated. */

import { amount, money, percent, share, sum } from "./money.js";

/** @typedef {import("./state.js").BudgetLine} BudgetLine */
/** @typedef {import("./state.js").Translate} Translate */
/** @typedef {import("./state.js").Usd} Usd */

/**
 * `say("again in %1", span)`, in the reader's language.
 * @param {Translate | undefined} translate
 * @returns {(text: string, ...values: (string | number)[]) => string}
 */
export function speaker(translate) {
  return (text, ...values) =>
    (translate ? translate(text) : text).replace(/%([1-9])/g, (_, n) => String(values[Number(n) - 1]));
}

/** @typedef {ReturnType<typeof speaker>} Say */

/** `3 s`, `2 min 5 s`, `1 h 2 min`. @param {number} ms */
export function span(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

/** `812 ms`, `5.2 s`, `2 min 5 s`. @param {number} ms */
export function latency(ms) {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : span(ms);
}

/** @param {number} count */
export const grouped = (count) => `${count}`.replace(/\B(?=(\d{3})+$)/g, ",");

/** @param {string} time */
export function clock(time) {
  const at = new Date(time);
  return Number.isNaN(at.valueOf()) ? time : at.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
}

/** @param {{provider_id: string, model_id: string}} of @param {Say} say */
export function modelName({ provider_id, model_id }, say) {
  if (!model_id) return say("no model yet");
  return provider_id ? say("%1 at %2", model_id, provider_id) : model_id;
}

/** `$0.0412 + 1 unpriced`. @param {{cost_usd: string, unpriced_calls: number}} of @param {Say} say */
export function cost({ cost_usd, unpriced_calls }, say) {
  if (!unpriced_calls) return money(cost_usd);
  const rest = say("%1 unpriced", unpriced_calls);
  return amount(cost_usd)?.digits ? `${money(cost_usd)} + ${rest}` : rest;
}

/** What is spent and reserved, of the limit. @param {BudgetLine} line */
export const used = (line) => share(sum([line.spent_usd, line.reserved_usd]), line.limit_usd);

/** @param {BudgetLine} line @param {Say} say */
export function budgetText(line, say) {
  const reserved = amount(line.reserved_usd)?.digits ? ` ${say("(+ %1 reserved)", money(line.reserved_usd))}` : "";
  if (line.limit_usd === null) return `${money(line.spent_usd)}${reserved}, ${say("no limit")}`;
  const level = { ok: "", warn: say("near the limit"), full: say("at the limit") }[line.level];
  const figure = `${say("%1 of %2", money(line.spent_usd), money(line.limit_usd))}${reserved}, ${percent(used(line))}`;
  return level ? `${figure}, ${level}` : figure;
}

/** @param {string} state @param {Say} say */
export function stateWords(state, say) {
  /** @type {Record<string, string>} */
  const words = {
    closed: say("in service"),
    open: say("resting after failures (breaker open)"),
    half_open: say("being tried again (breaker half open)"),
    rate_limited: say("resting, rate limited"),
    auth_failed: say("key refused"),
    no_key: say("no key"),
    disabled: say("switched off"),
  };
  return words[state] ?? state;
}

/** Of a model, zero is a price: it is free. @param {Usd} usd @param {Say} say */
export function estimate(usd, say) {
  if (usd === null) return money(usd);
  return amount(usd)?.digits ? say("about %1", money(usd)) : say("free");
}

/** @param {string | null} outcome @param {Say} say */
export function outcomeWords(outcome, say) {
  /** @type {Record<string, string>} */
  const words = {
    ok: say("answered"),
    failed: say("failed"),
    refused: say("refused"),
    interrupted: say("interrupted"),
    replayed: say("replayed"),
    dry_run: say("not sent"),
  };
  return outcome === null ? say("running") : (words[outcome] ?? outcome);
}
