from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sekha_magics.display.code import COLOURS, LONGEST_COLOURED
from sekha_magics.display.markdown import LONGEST_RENDERED, fenced_code, preformatted, to_html, to_plain

from .harmless import (
    assert_harmless,
    assert_only_formulas_are_typeset,
    formulas,
    parse,
    runs_of_text,
)
from .hostile import TEXTS

# --- hostile texts --------------------------------------------------------------------------------

SCHEMES = st.sampled_from(
    ["javascript:", "JAVASCRIPT:", "java\tscript:", "&#106;avascript:", "&#x6a;avascript&colon;", "data:text/html,",
     "vbscript:", "file:///", "//h/", "http://h/", "HTTPS://h/", "mailto:a@b", "#", "./a", "blob:", "\x01javascript:"]
)  # fmt: skip
HANDLERS = st.sampled_from(["onerror=x()", 'onload="x()"', "style='background:url(http://h)'", "srcset=http://h/a.png"])
ADDRESSES = st.builds(
    lambda s, t, q: f"{s}{t}{q}", SCHEMES, st.text(max_size=6), st.sampled_from(["", '"', "'>", "\\"])
)
TAGS = st.builds(
    lambda name, handler, close: f"<{name} {handler}{close}",
    st.sampled_from(
        ["script", "img src=x", "svg", "iframe src=http://h", "a href=javascript:x()", "/div", "!--", "math"]
    ),
    HANDLERS,
    st.sampled_from([">", "/>", "", "\n>", "></script>"]),
)
LEAVES = st.one_of(
    TAGS,
    ADDRESSES,
    st.text(max_size=12),
    st.sampled_from(["\x1b[31m", "\x9b2J", "\x1b]0;t\x07", "\r", "\u202e", "\ud800", "\x00", "$", "$$", "\\(", "\\)"]),
    st.sampled_from([r"$\href{javascript:x}{y}$", r"$x^2$", "\\[\nx\n\\]", "$5 and $6", "&#36;x&#36;", r"\\(x\\)"]),
)


def wrapped(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.builds("[{}]({})".format, inner, ADDRESSES),
        st.builds('[{}](<{}> "{}")'.format, inner, ADDRESSES, inner),
        st.builds("![{}]({})".format, inner, ADDRESSES),
        st.builds("[{0}][r]\n\n[r]: {1} '{2}'\n\n".format, inner, ADDRESSES, inner),
        st.builds("<{}>".format, ADDRESSES),
        st.builds("```{}\n{}\n```\n".format, inner, inner),
        st.builds("\n| {} | {} |\n|---|:-:|\n| {} | b |\n".format, inner, inner, inner),
        st.builds("`{}`".format, inner),
        st.builds("${}$".format, inner),
        st.builds("\\({}\\)".format, inner),
        st.builds("\n$$\n{}\n$$\n".format, inner),
        st.builds(
            "{}{}{}".format,
            st.sampled_from(["> ", "- ", "1. ", "# ", "**", "~~", "    ", "\n\n", "\\", "&"]),
            inner,
            inner,
        ),
    )


MARKDOWN = st.recursive(LEAVES, wrapped, max_leaves=12)


@given(MARKDOWN)
@settings(max_examples=600, deadline=None)
def test_generated_hostile_markdown_becomes_harmless_html(text: str) -> None:
    html = to_html(text)
    assert_harmless(html)
    assert_only_formulas_are_typeset(html)
    html.encode()


@pytest.mark.parametrize("text", TEXTS)
def test_a_hostile_text_becomes_harmless_html(text: str) -> None:
    for html in (to_html(text), preformatted(text)):
        assert_harmless(html)
        assert_only_formulas_are_typeset(html)


@given(st.text())
@settings(deadline=None)
def test_preformatted_text_is_shown_as_it_stands(text: str) -> None:
    shown = "".join(parse(preformatted(text)).itertext())
    # A parser drops one newline that begins a <pre>, and ours ends with one.
    assert shown.removesuffix("\n").lstrip("\n") == to_plain(text).lstrip("\n")


def test_a_remote_image_becomes_a_link_and_is_not_loaded() -> None:
    html = to_html("![a plot](https://example.org/plot.png)")
    assert (
        '<a href="https://example.org/plot.png" target="_blank" rel="noopener noreferrer">[image: a plot]</a>' in html
    )


def test_an_image_inside_a_link_stays_one_link() -> None:
    html = to_html("[![b](https://example.org/b.png)](https://example.org/c)")
    assert html.count("<a ") == 1
    assert "[image: b]" in html


def test_an_image_without_a_description_says_that_it_is_one() -> None:
    assert "[image]</a>" in to_html("![](https://example.org/b.png)")


@pytest.mark.parametrize("address", ["mailto:a@example.org", "#part"])
def test_an_image_that_cannot_be_one_becomes_text(address: str) -> None:
    html = to_html(f"![b]({address})")
    assert "[image: b]" in html
    assert "<a" not in html


def test_an_embedded_image_becomes_text() -> None:
    assert "<a" not in to_html("![d](data:image/png;base64,AAAA)")


def test_a_link_within_the_page_does_not_open_another() -> None:
    assert to_html("[q](#frag)") == '<p><a href="#frag">q</a></p>\n'


# --- Markdown -------------------------------------------------------------------------------------


def test_common_markdown_is_rendered() -> None:
    html = to_html("# T\n\n**b** *i* ~~s~~ `c`\n\n- a\n\n1. x\n\n> q\n\n|h|\n|-|\n|d|\n\n---\n\nx  \ny")
    for part in ("<h1>", "<strong>b", "<em>i", "<s>s", "<code>c", "<ul>", "<ol>", "<blockquote>", "<th>h", "<td>d",
                 "<hr", "<br"):  # fmt: skip
        assert part in html


def test_code_keeps_every_character_and_gains_colour() -> None:
    code = 'def f(x):  # $x$ <b>\n\treturn "a" \\ 1\n'
    html = to_html(f"```python\n{code}```")
    assert "".join(parse(html).itertext()).rstrip("\n") == code.rstrip("\n")
    assert "color:#" in html


@pytest.mark.parametrize("language", ["", "nonsense", "text", '"onclick="x'])
def test_code_in_an_unknown_language_is_shown_plain(language: str) -> None:
    html = to_html(f"```{language}\nx = 1\n```")
    assert "<code>x = 1\n</code>" in html
    assert "color:" not in html


def test_very_long_code_is_shown_plain() -> None:
    assert "color:" not in to_html("```python\n" + "x = 1\n" * LONGEST_COLOURED)


@pytest.mark.parametrize("background", ["#ffffff", "#111111"])
@pytest.mark.parametrize("kind", COLOURS)
def test_colours_of_code_read_on_light_and_on_dark(kind: str, background: str) -> None:
    # WCAG 2.2, contrast ratio; 3:1 is asked of large text and graphics, 4:1 is what no colour can much exceed on both.
    lighter, darker = sorted((luminance(COLOURS[kind][:7]), luminance(background)), reverse=True)
    assert (lighter + 0.05) / (darker + 0.05) > 4


def luminance(colour: str) -> float:
    channels = (int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))
    r, g, b = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels)
    return 0.2126 * r + 0.7152 * g + 0.0722 * b


def test_fenced_code_is_found_with_its_language() -> None:
    text = "a\n```python title=x\nx = 1\n```\nb\n~~~\ny\n~~~\n    indented"
    assert fenced_code(text) == (("python", "x = 1\n"), ("", "y\n"))
    assert fenced_code("no code") == ()


# --- mathematics ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["$5", "$5 and $6", "it costs $5-$10.", "$1,000 + $2,000 = $3,000", "US$5 or CA$6", "$HOME/$USER",
     "$PATH:$HOME$x", "from $5M to 6M$", "costs $5+tax, or 6+tax$ more", r"\$x\$", "a $ b $ c", "$$", "$ $", "$$$$",
     "`$x$`", "$x",
     "$x$5", "A$x$", "$price = cost$", "$my_var and other_var$", r"$\unknowncommand x$", "$a{$", "$}{$", "$x\\$",
     r"\(x", r"\[x", r"\(\)", r"\( \)", "$$\nx\n\ny\n$$", r"\\(x\\)", "$a\n\nb$", r"$\begin{evil}x\end{evil}$",
     "&#36;x&#36;",
     r"$\begin x$", r"\begin{align}", "$$ a $ b $$", "    $$\n    x\n    $$",
     "    \\[x\\]", "```\n$$x$$\n```",
     r"$\text{we pay the price of all the many things that one two three four five}$"],
)  # fmt: skip
def test_what_is_not_clearly_mathematics_stays_text(text: str) -> None:
    html = to_html(text)
    assert formulas(html) == []
    assert_only_formulas_are_typeset(html)


@pytest.mark.parametrize(
    ("text", "formula"),
    [
        (r"$e^{i\pi}=-1$", r"$e^{i\pi}=-1$"),
        ("$x$", "$x$"),
        ("$AB$", "$AB$"),
        ("$42$", "$42$"),
        ("$f(x)$", "$f(x)$"),
        ("$a, b$", "$a, b$"),
        ("$[0, 1]$", "$[0, 1]$"),
        ("the $n$-th", "$n$"),
        ("($x_i$)", "$x_i$"),
        ("$a < b$", "$a < b$"),
        (r"$\alpha$", r"$\alpha$"),
        (r"$\$5 + x$", r"$\$5 + x$"),
        (r"\(x\)", "$x$"),
        (r"\[ a = b \]", "$$a = b$$"),
        ("$$a = b$$", "$$a = b$$"),
        ("so $$a = b$$ holds", "$$a = b$$"),
        ("$$\na &= b\n- c\n$$", "$$a &= b\n- c$$"),
        ("text\n\\[\n\\frac{1}{2}\n\\]\nmore", r"$$\frac{1}{2}$$"),
        ("- item\n\n  $$\n  x\n  $$", "$$x$$"),
        ("- $$\nx\n$$", "$$x$$"),
        ("\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}", "\\begin{align*}\na &= b \\\\\nc &= d\n\\end{align*}"),
        (r"$\begin{pmatrix} a \\ b \end{pmatrix}$", r"$\begin{pmatrix} a \\ b \end{pmatrix}$"),
        ("$x =\ny$", "$x = y$"),
    ],
)
def test_what_is_clearly_mathematics_is_handed_to_the_typesetter(text: str, formula: str) -> None:
    assert formulas(to_html(text)) == [formula]


def test_prices_around_a_formula_stay_prices() -> None:
    html = to_html("pay $5 if $x^2 = 4$ and $6 else")
    assert formulas(html) == ["$x^2 = 4$"]
    assert_only_formulas_are_typeset(html)


@pytest.mark.parametrize("command", ["href", "url", "style", "class", "cssId", "require", "def", "newcommand", "let",
                                     "unicode", "includegraphics", "bbox", "data", "csname", "input",
                                     "color"])  # fmt: skip
def test_a_formula_with_a_command_off_the_list_is_not_typeset(command: str) -> None:
    for text in (rf"$x^2 \{command}{{a}}{{b}}$", rf"\(\{command}{{a}}{{b}}\)", f"$$\n\\{command}{{a}}{{b}}\n$$"):
        assert formulas(to_html(text)) == []


# --- size -----------------------------------------------------------------------------------------

UNITS = ["[", "![", "> ", "- ", "*a ", "**", "_a", "`", "<", "<a ", "&", "$ ", r"\(", "\\[\n", "$$a\n", "|a", "~~",
         "[a](", "[a]: b\n", "```\n", "a\n-\n", "<![CDATA[", "\\", "(", "$\\", "[a][a]"]  # fmt: skip


@pytest.mark.parametrize("unit", UNITS)
def test_a_megabyte_of_one_construct_is_rendered_harmless(unit: str) -> None:
    html = to_html(unit * (1_000_000 // len(unit)))
    assert html.startswith("<pre")
    assert "<a" not in html


@pytest.mark.parametrize("unit", UNITS)
def test_the_longest_rendered_text_of_one_construct_is_rendered_harmless(unit: str) -> None:
    html = to_html(unit * (LONGEST_RENDERED // len(unit)))
    assert_harmless(html[: html.rfind(">", 0, 20_000) + 1])


def test_code_in_a_text_too_long_to_parse_is_not_looked_for() -> None:
    assert fenced_code("```\nx\n```\n" * LONGEST_RENDERED) == ()


# --- plain text -----------------------------------------------------------------------------------


@given(st.text(alphabet=st.characters(exclude_categories=()), max_size=60))
def test_plain_text_has_no_control_character_and_is_plain_already(text: str) -> None:
    plain = to_plain(text)
    assert not [c for c in plain if (ord(c) < 32 and c not in "\n\t") or 0x7F <= ord(c) < 0xA0]
    assert not set(plain) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
    assert to_plain(plain) == plain
    plain.encode()


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("\x1b[31mred\x1b[0m", "red"),
        ("\x9b31mred", "red"),
        ("\x1b]0;title\x07text", "text"),
        ("\x1b]8;;http://h\x1b\\link\x1b]8;;\x1b\\", "link"),
        ("\x1b]0;unclosed", "0;unclosed"),
        ("\x1bcx", "x"),
        ("\x1b\x1b[0m[31mx", "[31mx"),
        ("a\rb\r\nc\x0bd\x85e", "a\nb\nc\nd\ne"),
        ("a\x08\x07\x00b\tc", "ab\tc"),
        ("\u202eevil\u202c", "evil"),
        ("\ud800", "\ufffd"),
        ("naïve 🏳️‍🌈 שלום", "naïve 🏳️‍🌈 שלום"),
    ],
)
def test_terminal_control_sequences_are_taken_out(text: str, plain: str) -> None:
    assert to_plain(text) == plain


def test_a_run_of_text_is_what_lies_between_two_tags() -> None:
    assert [text for _, text in runs_of_text("<p>a <span>$</span> b</p>")] == ["a ", "$", " b"]
