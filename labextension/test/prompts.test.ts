import { describe, expect, it } from "vitest";

import { holesOf, kindOf } from "../src/highlight/prompts";

describe("a prompt cell", () => {
  it.each(["%%sekha_chat", "  %%sekha_chat -m gpt", "%%sekha_chat\t--seed 1"])("is one: %j", (line) => {
    expect(kindOf(line)).toBe("filled");
  });

  it.each([
    "",
    "x = 1",
    "%sekha_chat hello",
    "%%sekha_chats",
    "%%sekha_sql",
    "# %%sekha_chat",
    "%%%sekha_chat",
  ])("is none: %j", (line) => {
    expect(kindOf(line)).toBeNull();
  });

  it("fills in nothing with --raw", () => {
    expect(kindOf("%%sekha_chat --raw -m x")).toBe("raw");
    expect(kindOf("%%sekha_chat --rawest")).toBe("filled");
  });
});

describe("names to fill in", () => {
  const found = (line: string): string[] => holesOf(line).map(({ from, to }) => line.slice(from, to));

  it("are names, attributes and literal subscripts", () => {
    expect(found('a {{ frame.shape }} b {{row["a}"]}} {{ été }}')).toEqual([
      "{{ frame.shape }}",
      '{{row["a}"]}}',
      "{{ été }}",
    ]);
  });

  it("are not what the magic leaves as it is", () => {
    expect(found('{{2}} {{"a": 1}} {{}} {x} { {x} } {{ a')).toEqual([]);
    expect(found("{{{ x }}}")).toEqual(["{{ x }}"]);
  });

  it("are found in time in a text that is nearly one", () => {
    expect(found("{{".repeat(20_000) + "'".repeat(20_000))).toEqual([]);
  });
});
