/** The state of a kernel as `live.v1.schema.json` describes it: followed message by message, and told in one line. */

import { budgetText, cost, grouped, modelName, span, speaker, used } from "./words.js";
import { percent } from "./money.js";

/**
 * @typedef {string | null} Usd  a decimal number; null is unknown
 * @typedef {"ok" | "warn" | "full"} Level
 * @typedef {{session_id: string, notebook: string | null, started: string, calls: number, cost_usd: string,
 *   unpriced_calls: number, replayed_calls: number, level: Level}} Session
 * @typedef {"session" | "notebook" | "day" | "month"} Scope
 * @typedef {{scope: Scope, name: string, limit_usd: Usd, spent_usd: string, reserved_usd: string, left_usd: Usd,
 *   level: Level, settable: boolean}} BudgetLine
 * @typedef {{lines: BudgetLine[], warn_at: number, error: string | null, per_kernel: boolean}} Budgets
 * @typedef {{provider_id: string, provider_type: string, state: string, failures: number, retry_in_ms: number | null,
 *   last_error: string | null, models: number, calls: number, error_rate: number | null,
 *   latency_p50_ms: number | null, simulated: string | null}} Provider
 * @typedef {{provider_id: string, model_id: string, calls: number, cost_usd: string, unpriced_calls: number,
 *   input_tokens: number, output_tokens: number}} ModelSpend
 * @typedef {{minute: string, provider_id: string, model_id: string, calls: number, cost_usd: string}} Point
 * @typedef {{models: ModelSpend[], points: Point[]}} Spend
 * @typedef {{decision_id: string, time: string, cell_id: string | null, source: string, task: string, policy: string,
 *   provider_id: string, model_id: string, reason: string, outcome: string | null, cost_usd: string,
 *   unpriced_calls: number, input_tokens: number, output_tokens: number, latency_ms: number | null, attempts: number,
 *   candidates: number}} Decision
 * @typedef {{provider_id: string, model_id: string, eligible: boolean, rank: number | null, priority: number,
 *   estimated_usd: Usd, reasons: {code: string, detail: string}[]}} Candidate
 * @typedef {{request_id: string, decision_id: string | null, cell_id: string | null, operation: string,
 *   provider_id: string, model_id: string, attempt: number, elapsed_ms: number, output_tokens: number,
 *   cost_usd: Usd}} Running
 * @typedef {{session: Session, budgets: Budgets, providers: Provider[], spend: Spend, decisions: Decision[],
 *   running: Running[]}} State
 * @typedef {{version: number, type: "snapshot", sequence: number, state: State}} Snapshot
 * @typedef {{version: number, type: "change", sequence: number, changes: Partial<State>}} Change
 * @typedef {{type: "budget", limits: Partial<Record<Scope, Usd>>} | {type: "reset", provider_id: string | null}
 *   | {type: "cancel", request_id: string | null} | {type: "candidates", decision_id: string}
 *   | {type: "resend"}} Request  without version and id
 * @typedef {{version: number, id: string, ok: true, candidates?: Candidate[], snapshot?: Snapshot}} Result
 * @typedef {(text: string) => string} Translate
 * @typedef {{request(message: Request): Promise<Result>, openCell?(cellId: string): void, translate?: Translate}} Host
 *   `request` rejects with an Error whose message is the error and its hint
 */

/**
 * What a status bar shows. `since` are the milliseconds that have passed since the state came.
 * @param {State} state
 * @param {{since?: number, translate?: Translate}} [options]
 * @returns {{text: string, title: string, level: Level}}
 */
export function statusText(state, { since = 0, translate } = {}) {
  const say = speaker(translate);
  const { session, budgets, running } = state;
  const limited = budgets.lines.filter((line) => line.limit_usd !== null);
  const tightest = limited.reduce(
    (/** @type {BudgetLine | null} */ most, line) => (most === null || used(line) > used(most) ? line : most),
    null,
  );
  const spent = cost(session, say);
  let text = tightest ? `${spent} · ${say("%1 of %2", percent(used(tightest)), tightest.name)}` : spent;
  if (running.length) {
    const elapsed = span(running[0].elapsed_ms + since);
    const begun = running.length > 1 ? say("%1 answering, %2", running.length, elapsed) : say("answering %1", elapsed);
    const tokens = running.reduce((so, one) => so + one.output_tokens, 0);
    text = `${spent} · ${begun}${tokens ? ` · ${say("~%1 tokens", grouped(tokens))}` : ""}`;
  }
  const title = [
    say("Sekha: %1 in %2 calls of this session", spent, grouped(session.calls)),
    ...limited.map((line) => `${line.name}: ${budgetText(line, say)}`),
    ...running.map((one) => say("answering: %1", modelName(one, say))),
    ...(budgets.error ? [budgets.error] : []),
  ].join("\n");
  return { text, title, level: session.level };
}

/**
 * The state after a message. Parts that did not change stay the same objects.
 * @param {{state: State, sequence: number} | null} before
 * @param {Snapshot | Change} message
 * @returns {{state: State, sequence: number}}
 * @throws {Error} where a message is missing in between: ask for all of it again
 */
export function applyMessage(before, message) {
  if (message.type === "snapshot") return { state: message.state, sequence: message.sequence };
  if (message.type !== "change") throw new Error(`a message of type ${String(/** @type {any} */ (message).type)}`);
  if (!before || message.sequence !== before.sequence + 1) {
    throw new Error(`message ${message.sequence} after ${before ? before.sequence : "none"}`);
  }
  return { state: { ...before.state, ...message.changes }, sequence: message.sequence };
}
