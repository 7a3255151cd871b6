import Ajv from "ajv/dist/2020.js";
import { describe, expect, it } from "vitest";

import schema from "../../sekha_magics/live/live.v1.schema.json";
import { numbered, opening, type Request, type Snapshot, VERSION } from "../src/live";
import { Follower } from "../src/spend/follower";

const examples = import.meta.glob<Record<string, unknown>>("../../tests/live/messages/*.json", {
  eager: true,
  import: "default",
});
const named = (name: string): Record<string, unknown> =>
  examples[`../../tests/live/messages/${name}.json`] ?? {};
const validate = new Ajv({ strict: false }).compile(schema);
const isValid = (message: unknown): boolean => validate(message);

describe("the messages", () => {
  it("are those of the schema, each example", () => {
    expect(Object.keys(examples).length).toBeGreaterThan(10);
    for (const [name, message] of Object.entries(examples)) expect(isValid(message), name).toBe(true);
  });

  const requests: Request[] = [
    { type: "budget", limits: { session: "0.50", day: null } },
    { type: "reset", provider_id: "ollama_local" },
    { type: "reset", provider_id: null },
    { type: "cancel", request_id: null },
    { type: "cancel", request_id: "r9" },
    { type: "candidates", decision_id: "d2" },
    { type: "resend" },
  ];

  it.each(requests)("that are sent fit it: %o", (request) => {
    expect(isValid(numbered(request, "q1"))).toBe(true);
    expect(isValid({ ...numbered(request, "q1"), surplus: 1 })).toBe(false);
  });

  it("open a comm with the version", () => {
    expect(isValid(opening())).toBe(true);
    expect(opening()).toEqual({ version: VERSION });
  });
});

describe("the state that is followed", () => {
  const snapshot = (sequence: number, requests: string[] = []): Snapshot => {
    const state = structuredClone(named("snapshot").state) as Snapshot["state"];
    state.running = requests.map((request_id) => ({ request_id, elapsed_ms: 0 }));
    return { version: 1, type: "snapshot", sequence, state };
  };
  const change = (sequence: number, requests: string[]) => ({
    version: 1,
    type: "change" as const,
    sequence,
    changes: { running: requests.map((request_id) => ({ request_id, elapsed_ms: 0 })) },
  });
  const running = (follower: Follower): string[] | undefined =>
    follower.state?.running.map(({ request_id }) => request_id);

  it("changes part by part", () => {
    const follower = new Follower();
    expect(follower.state).toBeNull();
    expect(follower.take(snapshot(7, ["a"]))).toBe(true);
    const before = follower.state;
    expect(follower.take(change(8, ["a", "b"]))).toBe(true);
    expect(running(follower)).toEqual(["a", "b"]);
    expect(follower.state?.session).toBe(before?.session);
  });

  it("asks once where a message is missing, and keeps what it has meanwhile", () => {
    const follower = new Follower();
    follower.take(snapshot(0, ["a"]));
    expect(follower.take(change(2, ["c"]))).toBe(false);
    expect(follower.take(change(3, ["d"]))).toBe(true);
    expect(running(follower)).toEqual(["a"]);
  });

  it("goes on from the snapshot, with what came after it alone", () => {
    const follower = new Follower();
    follower.take(snapshot(0));
    follower.take(change(2, ["old"]));
    follower.take(change(3, ["older than the snapshot"]));
    follower.take(change(5, ["later"]));
    expect(follower.take(snapshot(4, ["of the snapshot"]))).toBe(true);
    expect(running(follower)).toEqual(["later"]);
    expect(follower.take(change(6, []))).toBe(true);
  });

  it("asks again where one is missing after the snapshot, too", () => {
    const follower = new Follower();
    follower.take(change(1, []));
    follower.take(change(5, ["later"]));
    expect(follower.take(snapshot(3))).toBe(false);
    expect(follower.take(snapshot(6, ["whole"]))).toBe(true);
    expect(running(follower)).toEqual(["whole"]);
  });
});
