"""Whether a provider is there, and which models it lists; costs nothing."""

from __future__ import annotations

from typing import Any

import httpx

from ...core.wire import Endpoint, Probe
from .dialects import Dialect
from .errors import failure
from .wire import Exchange, Wire, listening

__all__ = ["probe"]

_SECONDS = 5.0


async def probe(wire: Wire, endpoint: Endpoint, dialect: Dialect) -> Probe:
    """Ask for the list of models. What goes wrong is told in `detail`."""
    exchange = Exchange()
    try:
        with listening(exchange):
            response = await wire.http.get(_list_address(wire.address, dialect), timeout=_SECONDS)
        models = _names(response.raise_for_status().json(), dialect)
    except (httpx.HTTPError, ValueError) as error:
        failed = failure(error, exchange, endpoint, dialect, "models")
        return Probe(False, f"{failed.message}. {failed.hint}".rstrip(". ") + ".")
    return Probe(True, f"answers with {len(models)} models", models)


def _list_address(address: str, dialect: Dialect) -> str:
    match dialect.name:
        case "ollama":
            return f"{address}/api/tags"
        case "anthropic":
            return f"{address.removesuffix(dialect.chat_path).removesuffix('/v1')}/v1/models?limit=1000"
        case _:
            return f"{address}/models"


def _names(body: Any, dialect: Dialect) -> tuple[str, ...]:
    """Raises `ValueError` for what is no list of models: some other server answers there."""
    rows = body.get("models" if dialect.name == "ollama" else "data") if isinstance(body, dict) else None
    if not isinstance(rows, list):
        raise ValueError("what answers there gave no list of models")  # noqa: TRY004 - it is the value that is wrong
    names = (row.get("name") or row.get("id") for row in rows if isinstance(row, dict))
    return tuple(name for name in names if isinstance(name, str))
