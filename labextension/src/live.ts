/**
 * What a kernel and its front end say to each other, as `sekha_magics/live/live.v1.schema.json` has it.
 *
 * Only the parts that this side reads or writes are named; the panel knows the rest.
 */

export const VERSION = 1;
export const STATE = "sekha.state";
export const CONTROL = "sekha.control";

export type Usd = string | null;
export type Level = "ok" | "warn" | "full";

export interface Running {
  request_id: string;
  elapsed_ms: number;
}

export interface State {
  session: { session_id: string; calls: number; cost_usd: string; level: Level };
  running: Running[];
}

export interface Snapshot {
  version: number;
  type: "snapshot";
  sequence: number;
  state: State;
}

export interface Change {
  version: number;
  type: "change";
  sequence: number;
  changes: Partial<State>;
}

export interface Unsupported {
  version: number;
  type: "unsupported";
  supported: number[];
}

export interface Candidate {
  provider_id: string;
  model_id: string;
  eligible: boolean;
  rank: number | null;
  priority: number;
  estimated_usd: Usd;
  reasons: { code: string; detail: string }[];
}

type Scope = "session" | "notebook" | "day" | "month";

/** A request without version and id. */
export type Request =
  | { type: "budget"; limits: Partial<Record<Scope, Usd>> }
  | { type: "reset"; provider_id: string | null }
  | { type: "cancel"; request_id: string | null }
  | { type: "candidates"; decision_id: string }
  | { type: "resend" };

export interface Result {
  version: number;
  id: string;
  ok: true;
  candidates?: Candidate[];
  snapshot?: Snapshot;
}

export interface Refusal {
  version: number;
  id: string | null;
  ok: false;
  error: string;
  hint: string | null;
}

/** The data each comm is opened with. */
export const opening = (): { version: number } => ({ version: VERSION });

/** `request` as it is sent. */
export const numbered = (request: Request, id: string): Request & { version: number; id: string } => ({
  version: VERSION,
  id,
  ...request,
});
