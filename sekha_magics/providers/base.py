"""The protocol between the engine and whatever speaks to a provider.

A provider is one class: it is built from an `Endpoint`, it streams text, and it ends with a `Finish`. It raises
`ProviderError` classes and nothing else, never retries, never reads the environment, and knows nothing of notebooks.
`tests/conformance/` holds what every one of them must pass.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import ClassVar

from ..core.provider_types import ProviderType
from ..core.wire import ChatCall, EmbedCall, Embedded, Endpoint, Finish, Probe
from ..errors import BadRequest

__all__ = ["Provider"]


class Provider(ABC):
    """One configured provider. `traits` describes its type; a plugin defines its own."""

    traits: ClassVar[ProviderType]
    counts_its_own_time: bool = False
    """True where requests wait for each other: the provider itself ends one that takes longer than `timeout`."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint

    async def get_ready(self) -> None:  # noqa: B027 - most are
        """What a first request needs and takes long on this machine; no limit on the provider's time runs meanwhile."""

    @abstractmethod
    def chat(self, call: ChatCall) -> AsyncIterator[str | Finish]:
        """Yield pieces of text, then exactly one `Finish`. With `call.stream` off there is one piece.

        Cancelling the iteration closes the connection. Raises a class of `ProviderError`.
        """

    async def embed(self, call: EmbedCall) -> Embedded:
        """Vectors as float32 [len(call.texts), dimension], in the order of the texts."""
        raise BadRequest(
            f"{self.endpoint.provider_id} does not embed text",
            provider_id=self.endpoint.provider_id,
            model_id=call.model_id,
        )

    @abstractmethod
    async def probe(self) -> Probe:
        """Ask the provider whether it is there, without spending money. Never raises `ProviderError`."""

    async def aclose(self) -> None:  # noqa: B027 - most have nothing to let go of
        """Let go of connections and child processes."""
