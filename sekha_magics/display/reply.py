"""What a chat cell leaves behind: one mime bundle for terminal, page and program.

The data are equal for a call and for its replay: what can differ between two runs (ids, times, whether it was
replayed) stands in the metadata alone. All of it is safe to show.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Literal

from ..core.pricing import total
from .code import code_block
from .decision import candidates_metadata, candidates_table, decision_metadata, decision_mimebundle
from .markdown import fenced_code, preformatted, to_html
from .money import exact, format_cost, recorded_source
from .remembered import memory_line, memory_metadata, memory_table
from .tables import QUIET
from .text import one_line, to_html_text, to_plain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from ..core.types import Call, Reply

__all__ = ["MIME_TYPE", "Format", "decision_mimebundle", "mimebundle", "notes_of", "quiet_line"]

MIME_TYPE = "application/vnd.sekha.chat.v1+json"

Format = Literal["markdown", "text", "code", "json"]

_EMPTY = "(the answer is empty)"
_ENDINGS = {
    "length": "The answer is cut: it reached the limit of output tokens.",
    "content_filter": "The answer is cut: the provider's content filter ended it.",
}


def mimebundle(
    reply: Reply, *, explain: bool = False, format: Format = "markdown"
) -> tuple[dict[str, Any], dict[str, Any]]:
    """(data, metadata) of a reply: `text/plain`, `text/html`, and the facts as `application/vnd.sekha.chat.v1+json`.

    `format` says how the text is shown: rendered, as it stands, its fenced code alone, or as JSON; the facts are
    the same. With `explain` every candidate stands below the answer, and every quotation from the memory.
    """
    plain, html = _shown(reply, format)
    if not plain.strip():
        plain, html = _EMPTY, f'<p style="{QUIET}">{_EMPTY}</p>\n'
    remembered = [memory_line(reply.memory)] if reply.memory else []
    under = [quiet_line(reply), *remembered, *notes_of(reply)]
    html += f'<p style="{QUIET}">{"<br>".join(to_html_text(line) for line in under)}</p>\n'
    plain = "\n".join([plain.rstrip(), "", *under])
    if explain:
        table = candidates_table(reply.decision, f"{reply.decision.reason} (policy {reply.decision.policy})")
        plain += f"\n\n{table.to_plain()}"
        html += table.to_html()
        if reply.memory:
            quoted = memory_table(reply.memory)
            plain += f"\n\n{quoted.to_plain()}"
            html += quoted.to_html()
    data = {"text/plain": plain, "text/html": f"<div>{html}</div>\n", MIME_TYPE: _facts(reply)}
    return data, {"sekha": {**_metadata(reply), "format": format, "explain": explain}}


def quiet_line(reply: Reply) -> str:
    """Who answered and what it took: `llama3 at ollama · 24 in, 12 out · free`."""
    used = reply.usage
    cached = f" ({used.cached_input_tokens:,} cached)" if used.cached_input_tokens else ""
    tokens = f"{used.input_tokens:,} in{cached}, {used.output_tokens:,} out"
    return one_line(f"{reply.model_id} at {reply.provider_id} · {tokens} · {format_cost(reply.cost)}")


def notes_of(reply: Reply) -> list[str]:
    """What its reader should know of how the answer came about, and of how it ended."""
    ending = _ENDINGS.get(reply.finish_reason or "")
    return [one_line(note) for note in (*reply.notes, *([ending] if ending else []))]


def _shown(reply: Reply, format: Format) -> tuple[str, str]:
    """The answer itself, as text and as HTML."""
    text = to_plain(reply.text)
    match format:
        case "markdown":
            return text, to_html(text)
        case "text":
            return text, preformatted(text)
        case "code":
            blocks = fenced_code(text)
            if not blocks:
                return text, preformatted(text)
            return "\n".join(code for _, code in blocks), "".join(code_block(code, name) for name, code in blocks)
        case "json":
            pretty = _pretty_json(reply)
            return (text, preformatted(text)) if pretty is None else (pretty, code_block(pretty, "json"))
    raise ValueError(f"format is {format!r}; it may be markdown, text, code or json")


def _pretty_json(reply: Reply) -> str | None:
    """The answer as indented JSON, or None when it is none: then it is shown as it stands."""
    value = reply.parsed
    if value is None:
        fenced = fenced_code(reply.text)
        try:
            value = json.loads(fenced[0][1] if len(fenced) == 1 else reply.text)
        except (ValueError, RecursionError):
            return None
    try:
        return to_plain(json.dumps(_plain_value(value), indent=2, ensure_ascii=False))
    except (TypeError, ValueError, RecursionError):
        return None


def _plain_value(value: Any) -> Any:
    dump = getattr(value, "model_dump", None)
    return dump(mode="json") if callable(dump) and not isinstance(value, type) else value


def _facts(reply: Reply) -> dict[str, Any]:
    usage, cost = reply.usage, reply.cost
    return {
        "text": to_plain(reply.text),
        "provider_id": one_line(reply.provider_id),
        "provider_type": one_line(reply.provider_type),
        "model_id": one_line(reply.model_id),
        "task": one_line(reply.decision.task),
        "usage": {
            "input_tokens": usage.input_tokens,
            "output_tokens": usage.output_tokens,
            "cached_input_tokens": usage.cached_input_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
        },
        "cost": {"usd": exact(cost.usd), "source": recorded_source(cost)},
        "finish_reason": None if reply.finish_reason is None else one_line(reply.finish_reason),
        "notes": [one_line(note) for note in reply.notes],
    }


def _metadata(reply: Reply) -> dict[str, Any]:
    usage, cost = reply.usage, reply.cost
    last = reply.calls[-1] if reply.calls else None
    priced, unpriced = _billed(reply.calls) if reply.calls else total([cost.usd])
    return {
        **decision_metadata(reply.decision),
        **candidates_metadata(reply.decision),
        "provider_id": one_line(reply.provider_id),
        "provider_type": one_line(reply.provider_type),
        "model_id": one_line(reply.model_id),
        "served_model": one_line(last.served_model) if last and last.served_model else None,
        "input_tokens": usage.input_tokens,
        "output_tokens": usage.output_tokens,
        "cached_input_tokens": usage.cached_input_tokens,
        "reasoning_tokens": usage.reasoning_tokens,
        "cost_usd": exact(cost.usd),
        "cost_source": cost.source,
        "recorded_cost_source": recorded_source(cost),
        "priced_usd": exact(priced),
        "unpriced_calls": unpriced,
        "latency_ms": round(reply.latency_ms, 1),
        "ttft_ms": None if reply.ttft_ms is None else round(reply.ttft_ms, 1),
        "finish_reason": None if reply.finish_reason is None else one_line(reply.finish_reason),
        "attempts": len(reply.calls),
        "waited_ms": round(reply.waited_ms, 1),
        "conversation": None if reply.conversation is None else one_line(reply.conversation),
        "memory": memory_metadata(reply.memory),
        "replayed": reply.replayed,
        "simulated": any(call.simulated for call in reply.calls),
        "ts": last.ts if last else None,
    }


def _billed(calls: Sequence[Call]) -> tuple[Decimal, int]:
    """USD of all attempts that have a price, and how many others may have been billed.

    A failed one is billed only if its answer had begun; a simulated one is asked for really, unless it fails.
    """
    return total([c.cost.usd for c in calls if c.cost.usd is not None or c.status != "error" or c.ttft_ms is not None])
