"""The words of a refusal: every candidate with its reasons, and what would change the outcome."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from difflib import get_close_matches

from ..errors import BudgetExceeded, NoEligibleModel
from .budget import Line
from .pricing import most
from .reasons import Reason
from .types import Candidate, Decision

__all__ = ["exceeded", "over_budget", "refusal"]

_SHOWN = 20
NO_MODELS_HINT = (
    "Three ways to get a model: set OPENAI_API_KEY, ANTHROPIC_API_KEY or OPENROUTER_API_KEY; start Ollama and pull a "
    "model; or install the embedded one (`pip install 'sekha-magics[local]'`, then `sekha models pull`)."
)


def refusal(decision: Decision) -> NoEligibleModel:
    candidates = decision.candidates
    if not candidates:
        return NoEligibleModel("No model is configured.", decision=decision, hint=NO_MODELS_HINT)
    # Those nearest to being eligible first: one reason to mend is what a reader looks for.
    nearest = sorted(candidates, key=lambda c: ("not_pinned" in c.reasons, len(c.reasons), c.priority))
    meant = [c for c in nearest if "not_pinned" not in c.reasons]
    if decision.request.model is not None and not meant:
        return _unknown_model(decision, nearest)
    shown = meant[:_SHOWN]
    lines = [f"  {c.name}: {_because(c)}" for c in shown]
    if hidden := nearest[len(shown) :]:
        rest = Counter(str(reason) for c in hidden for reason in c.reasons)
        counts = ", ".join(f"{reason} {count}" for reason, count in rest.most_common())
        lines.append(f"  and {len(hidden)} more ({counts})")
    if (short := _short_of_money(decision, nearest)) is not None:
        return exceeded(decision, *short)
    pinned = decision.request.model
    asked = f"{pinned} for {decision.task}" if pinned and decision.request.task else pinned or decision.task
    message = f"No model may answer this request ({asked}):\n" + "\n".join(lines)
    return NoEligibleModel(message, candidates=candidates, decision=decision, hint=_hint(decision, nearest))


def over_budget(usd: Decimal, line: Line) -> Reason:
    """Why a candidate that may cost `usd` does not fit into a budget, in figures."""
    return Reason("over_budget", f"up to ${_short(usd)}; {_figures(line)}")


def exceeded(decision: Decision, candidate: Candidate, usd: Decimal, line: Line) -> BudgetExceeded:
    """The refusal where only a budget stands in the way of `candidate`, which may cost `usd`."""
    limit = line.limit
    if limit.provider or limit.model:
        kind, key = ("providers", limit.provider) if limit.provider else ("models", limit.model)
        raising = f"raise `budget.{kind}.{key}.{limit.period}` in the configuration"
    else:
        more = f"{limit.period} USD"
        raising = (
            f"`%sekha budget {more}` raises it in this session (in Python: reg.budget.set({limit.period}=...)), "
            f"`budget.{limit.period}` in the configuration for good"
        )
    return BudgetExceeded(
        f"The budget of the {limit.name} has no room for this request: {candidate.name} may cost up to ${_short(usd)}; "
        f"{_figures(line)}. Nothing was sent.",
        scope=limit.name,
        spent=line.spent,
        reserved=line.reserved,
        limit=limit.usd or Decimal(0),
        candidates=decision.candidates,
        decision=decision,
        hint=f"To go on, {raising}; or lower max_tokens, shorten the prompt, or ask a cheaper or local model.",
    )


def _figures(line: Line) -> str:
    limit = _short(line.limit.usd or Decimal(0))
    return f"${_short(line.spent)} of ${limit} for the {line.limit.name} is spent and ${_short(line.reserved)} reserved"


def _short(usd: Decimal) -> str:
    return f"{usd.normalize():f}"


def _short_of_money(decision: Decision, nearest: list[Candidate]) -> tuple[Candidate, Decimal, Line] | None:
    """The candidate that money alone keeps from answering, what it may cost, and the limit that is in the way."""
    budget = decision.snapshot.budget
    candidate = next((c for c in nearest if set(c.reasons) == {"over_budget"}), None)
    if budget is None or candidate is None:
        return None
    names = (candidate.provider_id, candidate.model_id)
    entry = next(e for e in decision.snapshot.catalogue.entries if (e.provider_id, e.model_id) == names)
    usd = most(decision.request, candidate, entry.price)
    line = None if usd is None else budget.passed_by(*names, usd)
    return None if usd is None or line is None else (candidate, usd, line)


def _unknown_model(decision: Decision, nearest: list[Candidate]) -> NoEligibleModel:
    names = [c.name for c in nearest]
    listed = ", ".join(names[:_SHOWN]) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
    model = str(decision.request.model)
    close = get_close_matches(model, [*names, *(c.model_id for c in nearest)], n=3, cutoff=0.4)
    return NoEligibleModel(
        f"No provider has the model {model}.\n  not_pinned: {listed}",
        candidates=decision.candidates,
        decision=decision,
        hint=f"Did you mean {' or '.join(close)}?" if close else "`%sekha models` lists what is configured.",
    )


def _because(candidate: Candidate) -> str:
    return "; ".join(f"{reason} ({reason.detail})" if reason.detail else str(reason) for reason in candidate.reasons)


def _hint(decision: Decision, nearest: list[Candidate]) -> str:
    best = nearest[0]
    advice = {
        "wrong_task": f"Give a model the task {decision.task} in the configuration, or ask for another task.",
        "no_vision": "Add a model with `supports_vision: true`, or leave the images out.",
        "too_many_images": "Send fewer images, or raise `vision_capabilities.max_images`.",
        "image_format": "Convert the image to PNG or JPEG, and give its bytes rather than its address.",
        "image_too_large": "Make the image smaller, or raise `vision_capabilities.max_image_size_mb`.",
        "no_audio": "Add a model with `supports_audio: true`.",
        "no_function_calling": "Add a model with `supports_function_calling: true`.",
        "context_window": "Shorten the prompt, lower max_tokens, or add a model with a larger window.",
        "not_local": "Add a local model, or drop local_only.",
        "no_key": "Set the key: `%sekha keys` shows which are missing.",
        "over_max_cost": "Raise max_cost, lower max_tokens, or shorten the prompt.",
        "over_budget": "Raise the budget: `%sekha budget` shows what is left.",
        "unpriced": "Give the model a `price` in the configuration, or drop max_cost or the budget.",
        "breaker_open": "`%sekha health` says when it is tried again; `%sekha health --reset` tries it now.",
        "rate_limited": "`%sekha health` says when it may be asked again; or configure a second provider.",
        "auth_failed": "Correct the key with `%sekha keys set`.",
        "disabled": "Set `enabled: true` for the provider.",
    }
    return " ".join(advice[str(reason)] for reason in dict.fromkeys(best.reasons) if str(reason) in advice)
