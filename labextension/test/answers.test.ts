import { describe, expect, it } from "vitest";

import { type Facts, readFacts } from "../src/render/facts";
import { formulaAt, isClearlyMathematics, isSafeTex } from "../src/render/formulas";
import { harmless } from "../src/render/harmless";
import { prepare } from "../src/render/source";
import { costText, notesOf, timeText, tokensText } from "../src/render/words";

const say = {
  __: (text: string, ...values: unknown[]) =>
    text.replace(/%(\d)/g, (_, n: string) => String(values[Number(n) - 1])),
  _n: (one: string, many: string, n: number, ...more: unknown[]) =>
    (n === 1 ? one : many).replace(/%(\d)/g, (_, i: string) => String([n, ...more][Number(i) - 1])),
};
const shown = (html: string, formulas: Parameters<typeof harmless>[1] = []): string => {
  const div = document.createElement("div");
  div.append(harmless(html, formulas, "image"));
  return div.innerHTML;
};

describe("mathematics", () => {
  it.each(["x^2", "a_1", "x", "f(x)", "e^{i\\pi}=-1", "(0, 1)", "\\frac{1}{2}", "2x", "-1"])(
    "is %s",
    (tex) => {
      expect(isClearlyMathematics(tex)).toBe(true);
    },
  );

  it.each(["5 and ", "HOME/", "5", "USER and more"])(
    "is or is not what stands between dollars: %j",
    (tex) => {
      expect(isClearlyMathematics(tex)).toBe(tex === "5");
    },
  );

  it.each([
    "\\href{javascript:1}{x}",
    "\\def\\x{}",
    "\\require{html}",
    "a}{b",
    "\\",
    "$",
    "x".repeat(5000),
    "  ",
  ])("is not given to a typesetter: %j", (tex) => {
    expect(isSafeTex(tex)).toBe(false);
  });

  it("stands between dollars, brackets and in environments", () => {
    expect(formulaAt("$x^2$", 0)).toEqual({ tex: "x^2", display: false, end: 5 });
    expect(formulaAt("$$x$$", 0)).toEqual({ tex: "x", display: true, end: 5 });
    expect(formulaAt("\\(x\\)", 0)).toEqual({ tex: "x", display: false, end: 5 });
    expect(formulaAt("\\begin{align}x &= y\\end{align}!", 0)?.end).toBe(30);
    expect(formulaAt("US$x^2$", 2)).toBeNull();
    expect(formulaAt("$5 and $6", 0)).toBeNull();
  });

  it("takes no time where everything opens and nothing closes", () => {
    const { formulas } = prepare("\\(".repeat(50_000) + "$$".repeat(999) + "\\begin{align}".repeat(5000));
    expect(formulas.length).toBeLessThan(1000);
  });
});

describe("the source", () => {
  it("has no tags outside of code, and keeps code", () => {
    const { markdown } = prepare(
      "<b>x</b> `<i>` a < b\n\n```html\n<script>\n```\n\n    <pre>\n\n- a\n\n    <u>",
    );
    expect(markdown).toBe(
      "&lt;b>x&lt;/b> `<i>` a < b\n\n```html\n<script>\n```\n\n    <pre>\n\n- a\n\n    &lt;u>",
    );
  });

  it("has marks for formulas, and dollars of code and prices stay", () => {
    const { markdown, formulas } = prepare("$5, $6, $x^2$ and `$y^2$`\n```\n$z^2$\n```");
    expect(formulas.map(({ tex }) => tex)).toEqual(["x^2"]);
    expect(markdown).toBe("$5, $6, \ue0000\ue001 and `$y^2$`\n```\n$z^2$\n```");
  });

  it("draws no diagrams", () => {
    expect(prepare("```mermaid\ngraph\n```").markdown).toBe("```\ngraph\n```");
  });

  it("cannot be made to name a formula that is not there", () => {
    const { markdown, formulas } = prepare("\ue0000\ue001 \ue0005\ue001");
    expect(markdown).toBe("0 5");
    expect(formulas).toEqual([]);
  });
});

describe("what is harmless", () => {
  it("keeps what text is made of", () => {
    const html = "<h2>T</h2><ul><li><strong>a</strong></li></ul><pre><code>x</code></pre>";
    expect(shown(html)).toBe(html);
  });

  it("makes links that open apart, to a few schemes", () => {
    expect(shown('<a href="https://a.b" onclick="x" ping="c">l</a>')).toBe(
      '<a href="https://a.b" target="_blank" rel="noopener noreferrer">l</a>',
    );
    for (const address of [
      "javascript:1",
      " javascript:1",
      "data:text/html,x",
      "//a.b",
      "/lab",
      "vbscript:1",
    ]) {
      expect(shown(`<a href="${address}">l</a>`)).toBe("<a>l</a>");
    }
  });

  it("loads no image", () => {
    expect(shown('<img src="http://a.b/c.png" alt="d" onerror="x">')).toContain(">[image: d]</a>");
    expect(shown('<img src="data:image/png;base64,AA">')).toBe("[image]");
    expect(shown('<a href="http://x.y"><img src="http://a.b/c.png"></a>')).not.toContain("a.b");
  });

  it("drops what runs and what is laid out by a stranger", () => {
    const html =
      "<script>1</script><style>*{}</style><iframe src=x>y</iframe><svg onload=x><text>z</text></svg>" +
      '<p style="position:fixed" class="jp-x" id="y" data-commandlinker-command="z" onclick="w">p</p><form>f</form>';
    expect(shown(html)).toBe("<p>p</p>f");
  });

  it("begins mathematics nowhere but where a formula stood", () => {
    const formula = { tex: "x<y", display: false, end: 0 };
    expect(shown("<p>$5 \ue0000\ue001 $6</p>", [formula])).toBe(
      '<p><span>$</span>5 <span class="math">$x&lt;y$</span> <span>$</span>6</p>',
    );
    expect(shown("\ue0009\ue001", [formula])).toBe("\ue0009\ue001");
  });

  it("survives a text that is nested without end", () => {
    expect(shown("<b>".repeat(400) + "deep").length).toBeGreaterThan(0);
  });
});

describe("facts", () => {
  it("of anything at all are facts", () => {
    const strange = [
      undefined,
      null,
      1,
      "x",
      [],
      { text: 5, usage: [], cost: "x", notes: { a: 1 } },
      { notes: [{}] },
    ];
    for (const value of strange) {
      const facts = readFacts(value, value);
      expect(facts.text).toBe("");
      expect(facts.candidates).toBeNull();
      expect(notesOf(facts, say)).toEqual([]);
      expect(costText(facts.costUsd, facts.costSource, say)).toBe("unpriced");
      expect(tokensText(facts, say)).toBe("");
    }
  });

  it("have no control characters and one line", () => {
    const facts = readFacts(
      { text: "a\u001b[31m\u202eb\r\nc", model_id: "m\n\u0000n" },
      { reason: "x".repeat(9000) },
    );
    expect(facts.text).toBe("a[31mb\nc");
    expect(facts.modelId).toBe("m n");
    expect(facts.reason.length).toBe(2001);
  });

  it("read as in the rest of the product", () => {
    expect(costText("0", "free", say)).toBe("free");
    expect(costText(null, "unpriced", say)).toBe("unpriced");
    expect(costText("0.0123", "estimated", say)).toBe("~$0.0123");
    expect([850, 2345, 185_000].map(timeText)).toEqual(["850 ms", "2.3 s", "3 min 5 s"]);
    const facts = readFacts(
      { usage: { input_tokens: 12345, output_tokens: 2, cached_input_tokens: 4 }, finish_reason: "length" },
      { memory: [{ conversation: "plans", ts: "2026-11-20T10:00:00" }] },
    ) as Facts;
    expect(tokensText(facts, say)).toBe("12,345 in (4 cached), 2 out");
    expect(notesOf(facts, say)).toEqual([
      "from memory: 1 quotation of plans (2026-11-20)",
      "The answer is cut: it reached the limit of output tokens.",
    ]);
  });
});
