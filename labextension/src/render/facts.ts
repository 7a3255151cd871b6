/**
 * What an output says of an answer, read from a file that anybody may have written.
 *
 * Whatever stands there, what comes out has the types named here: what is missing or wrong is empty or unknown.
 */

import type { Candidate, Usd } from "../live";

export type Format = "markdown" | "text" | "code" | "json";

export interface Facts {
  text: string;
  providerId: string;
  modelId: string;
  task: string;
  inputTokens: number | null;
  outputTokens: number | null;
  cachedTokens: number;
  costUsd: Usd;
  costSource: string;
  finishReason: string;
  notes: string[];
  format: Format;
  decisionId: string;
  policy: string;
  reason: string;
  latencyMs: number | null;
  isReplayed: boolean;
  isSimulated: boolean;
  /** As they stood at the decision; null where the file has none. */
  candidates: Candidate[] | null;
  candidatesLeftOut: number;
  /** Whether they were asked for beside the answer. */
  explain: boolean;
  memory: Quotation[];
}

export interface Quotation {
  conversation: string;
  day: string;
  folder: string;
  role: string;
  score: number | null;
  similarity: number | null;
  importance: number | null;
  recency: number | null;
  tokens: number | null;
  pinned: boolean;
  cut: boolean;
}

const MOST = 200;
const LONGEST_LINE = 2000;

type Fields = Record<string, unknown>;

const fields = (value: unknown): Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Fields) : {};
const list = (value: unknown): unknown[] => (Array.isArray(value) ? value.slice(0, MOST) : []);
const number = (value: unknown): number | null =>
  typeof value === "number" && Number.isFinite(value) && value >= 0 ? value : null;
const usd = (value: unknown): Usd =>
  typeof value === "string" && /^-?[0-9]{1,30}(\.[0-9]{1,30})?$/.test(value) ? value : null;

/** Text without control characters and without what reorders the characters around it. */
function plain(value: unknown): string {
  if (typeof value !== "string") return "";
  const lines = value.replace(/\r\n|[\r\v\f\u0085\u2028\u2029]/g, "\n");
  // eslint-disable-next-line no-control-regex
  return lines.replace(/[\u0000-\u0008\u000e-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, "");
}

function line(value: unknown): string {
  const text = plain(value).replace(/\s+/g, " ").trim();
  return text.length > LONGEST_LINE ? `${text.slice(0, LONGEST_LINE)}…` : text;
}

/** `data` is the bundle's part of our type, `metadata` what stands under `sekha`. */
export function readFacts(data: unknown, metadata: unknown): Facts {
  const answer = fields(data);
  const usage = fields(answer.usage);
  const cost = fields(answer.cost);
  const more = fields(metadata);
  return {
    text: plain(answer.text),
    providerId: line(answer.provider_id),
    modelId: line(answer.model_id),
    task: line(answer.task),
    inputTokens: number(usage.input_tokens),
    outputTokens: number(usage.output_tokens),
    cachedTokens: number(usage.cached_input_tokens) ?? 0,
    costUsd: usd(cost.usd),
    costSource: line(cost.source),
    finishReason: line(answer.finish_reason),
    notes: list(answer.notes).map(line).filter(Boolean),
    format: readFormat(more.format),
    decisionId: line(more.decision_id),
    policy: line(more.policy),
    reason: line(more.reason),
    latencyMs: number(more.latency_ms),
    isReplayed: more.replayed === true,
    isSimulated: more.simulated === true,
    candidates: Array.isArray(more.candidates) ? list(more.candidates).map(readCandidate) : null,
    candidatesLeftOut: number(more.candidates_left_out) ?? 0,
    explain: more.explain === true,
    memory: list(more.memory).map(readQuotation),
  };
}

export function readCandidate(value: unknown): Candidate {
  const candidate = fields(value);
  return {
    provider_id: line(candidate.provider_id),
    model_id: line(candidate.model_id),
    eligible: candidate.eligible === true,
    rank: number(candidate.rank),
    priority: number(candidate.priority) ?? 0,
    estimated_usd: usd(candidate.estimated_usd),
    reasons: list(candidate.reasons).map((reason) => {
      const { code, detail } = fields(reason);
      return { code: line(code), detail: line(detail) };
    }),
  };
}

function readQuotation(value: unknown): Quotation {
  const quoted = fields(value);
  return {
    conversation: line(quoted.conversation),
    day: line(quoted.ts).slice(0, 10),
    folder: line(quoted.folder),
    role: line(quoted.role),
    score: number(quoted.score),
    similarity: number(quoted.similarity),
    importance: number(quoted.importance),
    recency: number(quoted.recency),
    tokens: number(quoted.tokens),
    pinned: quoted.pinned === true,
    cut: quoted.cut === true,
  };
}

function readFormat(value: unknown): Format {
  return value === "text" || value === "code" || value === "json" ? value : "markdown";
}
