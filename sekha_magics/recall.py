"""From a request to the same with what the memory knows of its question: looked up, counted, and put before it.

Nothing here costs an answer: a memory that is empty, out of reach or too large for its tokens is a note.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from .ask import Ask, with_quotation
from .core.catalogue import Catalogue, Snapshot
from .core.decide import decide
from .core.policies import Policy
from .core.tokens import estimate_text
from .core.types import Quotation, TokenEstimate
from .counting import count_texts
from .errors import NoEligibleModel, SekhaError

if TYPE_CHECKING:
    from .memory.store import Memory

__all__ = ["with_memory", "with_room_for_memory"]


def with_memory(
    ask: Ask,
    memory: Callable[[], Memory],
    catalogue: Catalogue,
    policy: Policy,
    *,
    exclude: Sequence[str],
    kept: bool,
    embed: Callable[[Sequence[str], str | None], Any],
) -> Ask:
    """The request with at most `ask.wishes.memory` tokens of quotations, or with a note that says why there are none.

    `kept` says whether conversations are kept at all. The tokens are those of the models that may answer, whatever
    state they are in: a second provider may count otherwise than the first, and a replay must count as the recording.
    """
    budget = ask.wishes.memory
    if budget is None:
        return ask
    query = next((m.text for m in reversed(ask.messages) if m.role == "user"), "")
    if not query.strip():
        return _noted(ask, "the prompt has no text to look for")
    families = _families(ask, catalogue, policy)
    try:
        found = memory().context(
            query,
            budget,
            (*exclude, *ask.wishes.memory_exclude),
            seen="\n".join(message.text for message in ask.messages),
            count=lambda text: _tokens(text, families).high,
            embed=embed,
        )
    except SekhaError as error:
        return _noted(ask, f"it could not be asked: {error.message}")
    notes = [f"memory: {model} was not asked: {why}" for model, why in found.skipped.items()]
    if not found.quoted:
        if found.left_out:
            notes.append(f"memory: nothing of what was found fits into {budget} tokens, or is new")
        else:
            off = "" if kept else "; memory.enabled is false, so conversations are not kept"
            notes.append(f"memory: nothing is remembered that may be quoted{off}")
    return with_quotation(ask, Quotation(found.quoted, _tokens(found.text, families), tuple(notes), found.text))


def with_room_for_memory(ask: Ask) -> Ask:
    """The request counted with all the tokens the memory may fill: to look would send the prompt to a model."""
    budget = ask.wishes.memory
    return ask if budget is None else with_quotation(ask, Quotation(tokens=TokenEstimate(0, budget, budget)))


def _noted(ask: Ask, why: str) -> Ask:
    return with_quotation(ask, Quotation(notes=(f"memory: {why}",)))


def _families(ask: Ask, catalogue: Catalogue, policy: Policy) -> frozenset[str]:
    """Of the models that may answer, were all providers well; an empty name for one of no known family."""
    try:
        decision = decide(ask.request, Snapshot(catalogue), policy)
    except NoEligibleModel:
        return ask.families
    eligible = {(c.provider_id, c.model_id) for c in decision.ranked}
    return frozenset(e.family for e in catalogue.entries if (e.provider_id, e.model_id) in eligible)


def _tokens(text: str, families: frozenset[str]) -> TokenEstimate:
    """From the least to the most that any of the families makes of it."""
    counted = dict(count_texts([text], families - {""}))
    thumb = estimate_text(text)
    estimates = [counted.get(family, thumb) for family in families] or [thumb]
    low, expected, high = zip(*estimates, strict=True)
    return TokenEstimate(min(low), max(expected), max(high))
