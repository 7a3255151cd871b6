import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";

import { applyMessage, money, Panel, statusText } from "../../sekha_magics/widgets/panel.js";
import answered from "../../tests/live/messages/result-candidates.json";
import first from "../../tests/live/messages/snapshot.json";
import amounts from "../../tests/widgets/money.json";

const snapshot = first as unknown as Parameters<typeof applyMessage>[1];
const state = () => structuredClone(applyMessage(null, snapshot).state) as any;
const HOSTILE = "<img src=x onerror=window.fired=1>";

describe("an amount", () => {
  it.each(amounts as [string | null, string][])("of %s USD reads %s, as in Python", (usd, shown) => {
    expect(money(usd)).toBe(shown);
  });

  it.each(["", "much", "1e5", "-", "1.", "NaN", "0x10"])("that is none, %j, is unpriced", (usd) => {
    expect(money(usd)).toBe("unpriced");
  });
});

describe("messages", () => {
  const change = (sequence: number) =>
    ({ version: 1, type: "change", sequence, changes: { running: [] } }) as any;

  it("change what they name, and leave the rest the same", () => {
    const before = applyMessage(null, snapshot);
    const after = applyMessage(before, change(1));
    expect(after.sequence).toBe(1);
    expect((after.state as any).running).toEqual([]);
    expect((after.state as any).spend).toBe((before.state as any).spend);
  });

  it("are not applied over a gap, nor to nothing", () => {
    expect(() => applyMessage(applyMessage(null, snapshot), change(2))).toThrow("message 2 after 0");
    expect(() => applyMessage(null, change(1))).toThrow();
    expect(() => applyMessage(null, { type: "unsupported" } as any)).toThrow();
  });
});

describe("the status", () => {
  it("is what is spent of the tightest budget", () => {
    const at = { ...state(), running: [] };
    at.budgets.lines = at.budgets.lines.slice(0, 3);
    expect(statusText(at)).toMatchObject({ text: "$0.0412 + 1 unpriced · 82 % of session", level: "warn" });
  });

  it("is what is spent and what runs while something does, and time goes on after the message", () => {
    expect(statusText(state()).text).toBe("$0.0412 + 1 unpriced · answering 2 s · ~84 tokens");
    expect(statusText(state(), { since: 60_000 }).text).toBe(
      "$0.0412 + 1 unpriced · answering 1 min 2 s · ~84 tokens",
    );
  });

  it("speaks the reader's language", () => {
    const translate = (text: string) => (text === "answering %1" ? "antwortet seit %1" : text);
    expect(statusText(state(), { translate }).text).toContain("antwortet seit 2 s");
  });
});

describe("the panel", () => {
  let el: HTMLElement;
  let panel: Panel;
  const request = vi.fn();
  const button = (name: string) =>
    [...el.querySelectorAll("button")].find(
      (one) =>
        (one.getAttribute("aria-label") ?? one.textContent)?.startsWith(name) && !one.closest("[hidden]"),
    ) as HTMLButtonElement;
  const settled = () => new Promise((resolve) => setTimeout(resolve));

  beforeEach(() => {
    request.mockReset();
    request.mockResolvedValue({ version: 1, id: "1", ok: true });
    el = document.body.appendChild(document.createElement("div"));
    panel = new Panel(el, { request });
    panel.update(state());
  });

  afterEach(() => {
    panel.dispose();
    el.remove();
  });

  it("says in words what is spent, near its limit, resting and chosen", () => {
    for (const words of ["$0.0412 of $0.05, 82 %, near the limit", "at the limit", "breaker open", "again in 42 s",
                         "simulated: late by 8 s", "1 unpriced", "none eligible", "lesson.ipynb"]) {
      expect(el.textContent).toContain(words);
    }
    expect(el.querySelector("svg[role=img]")?.getAttribute("aria-label")).toContain("$0.0391 a minute at most");
  }); // prettier-ignore

  it("shows hostile names and errors as text", () => {
    const hostile = JSON.parse(
      JSON.stringify(state()).replaceAll("gpt-4.1", HOSTILE).replaceAll("refused", HOSTILE),
    );
    panel.update(hostile);
    expect(el.textContent).toContain(HOSTILE);
    expect(el.querySelector("img, script")).toBeNull();
  });

  it("keeps focus, elements and what is typed when the state changes", () => {
    const field = el.querySelector("input") as HTMLInputElement;
    el.querySelector("details")!.open = true;
    field.focus();
    field.value = "0.7";
    field.dispatchEvent(new Event("input"));
    const next = state();
    next.session.calls = 8;
    next.budgets.lines[0].limit_usd = "3";
    next.decisions.unshift({ ...next.decisions[1], decision_id: "d9" });
    panel.update(next);
    expect(el.textContent).toContain("in 8 calls");
    expect(document.activeElement).toBe(field);
    expect(field.value).toBe("0.7");
    expect(el.querySelector("details")!.open).toBe(true);
  });

  it("shows every candidate on a click, and keeps them open", async () => {
    request.mockResolvedValue(answered);
    const decision = button("gpt-4.1 at openaianswered");
    decision.click();
    await settled();
    expect(request).toHaveBeenCalledWith({ type: "candidates", decision_id: "d2" });
    expect(el.textContent).toContain("breaker_open: open for another 42 s");
    panel.update(state());
    expect(decision.isConnected && decision.getAttribute("aria-expanded")).toBe("true");
    expect(el.textContent).toContain("wrong_task: serves chat_small");
    decision.click();
    expect(el.querySelector(".sekha-candidates")).toBeNull();
  });

  it("shows what went wrong at the control that asked, and asks once at a time", async () => {
    request.mockRejectedValue(new Error("No provider has this id. It may be new."));
    const reset = button("Reset openai");
    reset.click();
    reset.click();
    await settled();
    expect(request).toHaveBeenCalledTimes(1);
    expect(reset.parentElement?.querySelector("[role=alert]")?.textContent).toContain("It may be new.");
  });

  it("sets only limits that were changed, and refuses what is no amount", async () => {
    const [session, notebook, day] = el.querySelectorAll("input");
    const type = (field: HTMLInputElement, text: string) => {
      field.value = text;
      field.dispatchEvent(new Event("input"));
    };
    type(session!, "a lot");
    el.querySelector("form")!.requestSubmit();
    expect(request).not.toHaveBeenCalled();
    expect(session!.getAttribute("aria-invalid")).toBe("true");
    type(session!, " $.5 ");
    type(day!, "");
    el.querySelector("form")!.requestSubmit();
    await settled();
    expect(request).toHaveBeenCalledWith({ type: "budget", limits: { session: "0.5", day: null } });
    expect(notebook!.value).toBe("");
  });

  it("puts the focus where a call was that has ended", () => {
    button("Cancel gpt-4.1 at openai").focus();
    panel.update({ ...state(), running: [] });
    expect(document.activeElement?.textContent).toBe("Running");
  });

  it("says why there is nothing to show, and shows it again", () => {
    panel.fail("No kernel.");
    expect(el.textContent).toContain("No kernel.");
    expect(el.querySelector("button")).toBeNull();
    panel.update(state());
    expect(el.textContent).toContain("in 7 calls");
  });

  it("leaves nothing behind", () => {
    panel.dispose();
    expect(el.childElementCount).toBe(0);
  });
});
