"""The choice of one candidate for one request: the one pure function everything else stands around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import lru_cache
from operator import itemgetter
from typing import Any, NamedTuple

from .budget import Budget
from .catalogue import Catalogue, Entry, Latency, ProviderState, Snapshot
from .exact import EXACT
from .learning import corrected
from .policies import Policy, Standing
from .pricing import estimate, upper_bound
from .reasons import Reason
from .refusal import over_budget, refusal
from .types import CHAT_TASKS, Candidate, Decision, Request, TokenEstimate

__all__ = ["decide"]

_FIRST_STATE = ProviderState()


class _Need(NamedTuple):
    """The request, with everything settled that is the same for all candidates."""

    request: Request
    task: str
    task_note: str
    check_task: bool
    pinned: str | None
    vision: bool
    max_cost: Decimal | None


def decide(request: Request, snapshot: Snapshot, policy: Policy, *, decision_id: str = "") -> Decision:
    """Choose one candidate, or raise `NoEligibleModel` with every reason of every candidate.

    Pure: equal arguments give equal decisions, on any machine and at any time.
    """
    need = _settle(request, snapshot.catalogue)
    judged = _judge(need, snapshot)
    latencies = snapshot.latencies
    ranked = _rank(judged, need, snapshot, policy)
    ranks = {index: rank for rank, (_, _, index) in enumerate(ranked, 1)}
    # Of a large catalogue a thousand of these are made: past the keyword handling of the class they cost half.
    make = tuple.__new__
    candidates = tuple(
        [
            make(
                Candidate,
                (
                    entry.provider_id,
                    entry.model_id,
                    not reasons,
                    reasons,
                    usd,
                    ranks.get(index),
                    entry.priority,
                    entry.provider_type,
                    high,
                    output,
                    _p50(latencies, entry) if latencies else None,
                    tokens,
                    likely,
                ),
            )
            for index, (entry, reasons, usd, high, output, tokens, likely) in enumerate(judged)
        ]
    )
    if not ranked:
        refused = Decision(
            decision_id, request, snapshot, need.task, policy.name, "", "", "", None, "none eligible", candidates
        )
        raise refusal(refused)
    chosen = candidates[ranked[0].place]
    return Decision(
        decision_id=decision_id,
        request=request,
        snapshot=snapshot,
        task=need.task,
        policy=policy.name,
        provider_id=chosen.provider_id,
        provider_type=chosen.provider_type,
        model_id=chosen.model_id,
        estimated_cost=chosen.estimated_cost,
        reason=_reason(need, policy, ranked, candidates),
        candidates=candidates,
    )


_Judged = tuple[Entry, tuple[Reason, ...], Decimal | None, Decimal | None, int, TokenEstimate, int]


def _judge(need: _Need, snapshot: Snapshot) -> list[_Judged]:
    """Each entry, the reasons against it, its expected and high cost, and in tokens: the answer to make room for, the
    input as it counts it, and the answer that is expected.

    The two checks that every request needs stand in the loop, which runs a thousand times in a large catalogue.
    """
    request, checks = need.request, _checks(need, snapshot)
    task, check_task, limited = need.task, need.check_task, need.max_cost is not None
    tokens, max_tokens, least = request.input_tokens, request.max_tokens, request.context_size or 0
    expected, chats = tokens.expected, request.operation == "chat"
    expected_tokens = Decimal(expected)
    fma, multiply = EXACT.fma, EXACT.multiply
    budget = snapshot.budget
    counts = _counts(need, snapshot)
    lengths = snapshot.lengths if chats and snapshot.lengths else None
    # Where money is limited the answer is cut at what was planned for it.
    cut = max_tokens is not None or limited or budget is not None
    judged: list[_Judged] = []
    for entry, against, fitting, rates, fitting_usd in snapshot.catalogue.prepared:
        output = (max_tokens or fitting) if chats else 0
        if counts is not None and (counted := counts(entry)) is not tokens:
            tokens = counted
            expected = tokens.expected
            expected_tokens = Decimal(expected)
        likely = output
        if lengths is not None and (usual := lengths.get((entry.provider_id, entry.model_id, task))) is not None:
            likely = min(usual.expected, output) if cut else usual.expected
        reasons = against
        if check_task and task not in entry.tasks:
            reasons = (_wrong_task(entry.tasks), *reasons)
        window = entry.context_window
        if window is not None and (least > window or (chats and expected + output > window)):
            reasons = (*reasons, _too_long(expected, output, least, window))
        usd: Decimal | None
        if rates is not None:
            written = fitting_usd if likely == fitting else multiply(rates[1], likely)
            usd = fma(rates[0], expected_tokens, written)
        else:
            usd = estimate(entry.price, expected, likely)
        high = estimate(entry.price, tokens.high, output) if limited else usd
        if checks:
            reasons = (*reasons, *[r for check in checks if (r := check(entry, high)) is not None])
        if (
            budget is not None
            and (broke := _unaffordable(entry, budget, request, tokens.high, output, limited)) is not None
        ):
            reasons = (*reasons, broke)
        judged.append((entry, reasons, usd, high, output, tokens, likely))
    return judged


def _counts(need: _Need, snapshot: Snapshot) -> Callable[[Entry], TokenEstimate] | None:
    """How each entry counts the input, or None where all count alike."""
    request, corrections = need.request, snapshot.corrections
    if not request.counted and not corrections:
        return None
    usual, by_family = request.input_tokens, dict(request.counted)

    def counted(entry: Entry) -> TokenEstimate:
        tokens = by_family.get(entry.family, usual)
        by = corrections.get((entry.provider_id, entry.model_id)) if corrections else None
        return tokens if by is None else corrected(tokens, by)

    return counted


class _Ranked(NamedTuple):
    key: tuple[Any, ...]
    standing: Standing
    place: int


def _rank(judged: list[_Judged], need: _Need, snapshot: Snapshot, policy: Policy) -> list[_Ranked]:
    """The eligible, best first; `place` is the index in `judged`."""
    preferred, latencies = need.request.preferred_model, snapshot.latencies
    ranked = []
    for index, (entry, reasons, usd, *_) in enumerate(judged):
        if reasons:
            continue
        latency = latencies.get((entry.provider_id, entry.model_id)) if latencies else None
        follows = preferred is not None and _names(entry, preferred)
        standing = Standing(entry, usd, latency, follows, need.task in entry.default_for)
        ranked.append(_Ranked(policy.key(standing), standing, index))
    ranked.sort(key=itemgetter(0))
    return ranked


def _p50(latencies: Mapping[tuple[str, str], Latency], entry: Entry) -> float | None:
    latency = latencies.get((entry.provider_id, entry.model_id))
    return latency.p50_ms if latency else None


def _names(entry: Entry, model: str) -> bool:
    return model in (entry.model_id, f"{entry.provider_id}/{entry.model_id}")


def _settle(request: Request, catalogue: Catalogue) -> _Need:
    rules = catalogue.rules
    limits = [usd for usd in (request.max_cost, rules.max_cost_per_request) if usd is not None]
    wanted = request.task or ("embedding" if request.operation == "embed" else None)
    note = ""
    if wanted is None:
        wanted = "vision" if request.images else rules.default_task
        if request.model is None:
            wanted, note = _nearest_served(wanted, catalogue)
        else:
            wanted = _task_of_pinned(wanted, request.model, catalogue)
    vision = request.require_vision
    if vision is None:
        vision = bool(request.images) and rules.require_vision_for_images
    return _Need(
        request=request,
        task=wanted,
        task_note=note,
        check_task=request.task is not None or request.model is None or request.operation == "embed",
        pinned=request.model,
        vision=vision,
        max_cost=min(limits) if limits else None,
    )


def _nearest_served(task: str, catalogue: Catalogue) -> tuple[str, str]:
    served = catalogue.served
    if task in served or (task not in CHAT_TASKS and task != "vision"):
        return task, ""
    nearest = {
        "chat_small": ("chat_large", "chat_smart"),
        "chat_large": ("chat_smart", "chat_small"),
        "chat_smart": ("chat_large", "chat_small"),
        "vision": ("chat_smart", "chat_large", "chat_small"),
    }
    for other in nearest[task]:
        if other in served:
            return other, f"nobody serves {task}, so {other} was used"
    return task, ""


def _task_of_pinned(task: str, model: str, catalogue: Catalogue) -> str:
    for entry in catalogue.entries:
        if _names(entry, model):
            return task if task in entry.tasks or not entry.tasks else entry.tasks[0]
    return task


# --- the checks ---------------------------------------------------------------------------------
# Each looks at one candidate and gives a reason against it, or None. Only those are run that this request and this
# snapshot can fail at all.

_Check = Callable[[Entry, Decimal | None], Reason | None]


def _checks(need: _Need, snapshot: Snapshot) -> list[_Check]:
    request = need.request
    checks: list[_Check] = []
    if need.pinned is not None:
        pinned = need.pinned
        checks.append(lambda e, _usd: None if _names(e, pinned) else _not_pinned(pinned))
    if need.vision:
        checks.append(lambda e, _usd: None if e.supports_vision else _NO_VISION)
    if request.images:
        checks.extend(_image_checks(request))
    if request.needs_audio:
        checks.append(lambda e, _usd: None if e.supports_audio else _NO_AUDIO)
    if request.needs_functions:
        checks.append(lambda e, _usd: None if e.supports_function_calling else _NO_FUNCTIONS)
    if request.local_only:
        checks.append(lambda e, _usd: None if e.local else _NOT_LOCAL)
    if need.max_cost is not None:
        checks.append(_cost_check(need.max_cost))
    if snapshot.providers:
        checks.extend(_state_check(snapshot.providers, against) for against in _AGAINST_STATES)
    return checks


_NO_VISION = Reason("no_vision", "it takes no images")
_NO_AUDIO = Reason("no_audio", "it takes no audio")
_NO_FUNCTIONS = Reason("no_function_calling", "it calls no functions")
_NOT_LOCAL = Reason("not_local", "data would leave this machine")


@lru_cache(maxsize=512)
def _wrong_task(tasks: tuple[str, ...]) -> Reason:
    return Reason("wrong_task", f"serves {', '.join(tasks)}" if tasks else "serves no task")


@lru_cache(maxsize=64)
def _not_pinned(model: str) -> Reason:
    return Reason("not_pinned", f"{model} was asked for")


def _image_checks(request: Request) -> list[_Check]:
    images = request.images
    formats = {image.format for image in images}
    addresses = any(image.size is None for image in images)
    largest = max(image.size or 0 for image in images)

    def count(entry: Entry, _usd: Decimal | None) -> Reason | None:
        if len(images) <= entry.max_images:
            return None
        return Reason("too_many_images", f"{len(images)} images, it takes {entry.max_images}")

    def form(entry: Entry, _usd: Decimal | None) -> Reason | None:
        if addresses and not entry.image_urls:
            return Reason("image_format", "it takes an image's bytes, not its address")
        taken = {"jpeg" if f == "jpg" else f for f in entry.image_formats}
        unknown = sorted(formats - taken - {""})
        return Reason("image_format", f"{', '.join(unknown)} is not among its formats") if unknown else None

    def size(entry: Entry, _usd: Decimal | None) -> Reason | None:
        if largest <= entry.max_image_bytes:
            return None
        mib = 1024 * 1024
        return Reason("image_too_large", f"{largest / mib:.1f} MiB, it takes {entry.max_image_bytes / mib:.1f} MiB")

    return [count, form, size]


def _too_long(expected: int, output: int, least: int, window: int) -> Reason:
    if least > window:
        return Reason("context_window", f"a window of {least:,} tokens is needed, it has {window:,}")
    return Reason("context_window", f"about {expected:,} in and {output:,} out, its window is {window:,} tokens")


def _cost_check(limit: Decimal) -> _Check:
    def affordable(entry: Entry, usd: Decimal | None) -> Reason | None:
        if usd is None:
            return Reason("unpriced", "its price is unknown, and a limit is in force")
        if usd > limit:
            return Reason("over_max_cost", f"up to ${usd:f}, the limit is ${limit:f}")
        return None

    return affordable


def _unaffordable(
    entry: Entry, budget: Budget, request: Request, tokens: int, output: int, limited: bool
) -> Reason | None:
    usd = upper_bound(entry.price, tokens, output, audio=request.needs_audio, images=bool(request.images))
    if usd is None:
        # With a limit on the request too, this reason stands there already.
        if limited or budget.allow_unpriced or not budget.limits(entry.provider_id, entry.model_id):
            return None
        return Reason("unpriced", "its price is unknown, and a budget is in force")
    line = budget.passed_by(entry.provider_id, entry.model_id, usd)
    return None if line is None else over_budget(usd, line)


def _auth_failed(state: ProviderState) -> Reason | None:
    return None if state.auth_failed is None else Reason("auth_failed", state.auth_failed)


def _breaker_open(state: ProviderState) -> Reason | None:
    if state.breaker == "open":
        return _failed_in_a_row(state.failures)
    return _BEING_TRIED if state.breaker == "half_open" and state.probing else None


_BEING_TRIED = Reason("breaker_open", "it failed, and another request is trying it again just now")


@lru_cache(maxsize=64)
def _failed_in_a_row(failures: int) -> Reason:
    return Reason("breaker_open", f"it failed {failures} times in a row" if failures > 1 else "nobody answered there")


def _rate_limited(state: ProviderState) -> Reason | None:
    return None if state.rests is None else Reason("rate_limited", state.rests)


_AGAINST_STATES = (_auth_failed, _breaker_open, _rate_limited)


def _state_check(states: Mapping[str, ProviderState], against: Callable[[ProviderState], Reason | None]) -> _Check:
    return lambda entry, _usd: against(states.get(entry.provider_id, _FIRST_STATE))


# --- the sentence -------------------------------------------------------------------------------


def _reason(need: _Need, policy: Policy, ranked: list[_Ranked], candidates: tuple[Candidate, ...]) -> str:
    best, chosen = ranked[0].key, ranked[0].standing
    parts = []
    if need.pinned is not None:
        parts.append("asked for by name")
    if len(ranked) == 1:
        if need.pinned is None:
            parts.append(f"the only one eligible of {len(candidates)}" if len(candidates) > 1 else "the only model")
    else:
        decided = next((i for i, (a, b) in enumerate(zip(best, ranked[1].key, strict=True)) if a != b), len(best) - 1)
        rivals = sum(key[:decided] == best[:decided] for key, _, _ in ranked)
        parts.append(policy.because(decided, chosen, rivals))
    if need.task_note:
        parts.append(need.task_note)
    if (preferred := need.request.preferred_model) is not None:
        parts.append(_preference(preferred, chosen, candidates))
    return "; ".join(part for part in parts if part)


def _preference(preferred: str, chosen: Standing, candidates: tuple[Candidate, ...]) -> str:
    if chosen.preferred:
        return f"the preference for {preferred} was followed"
    against = [c.reasons for c in candidates if preferred in (c.model_id, c.name)]
    if not against:
        return f"the preference for {preferred} was not followed: no provider has it"
    return f"the preference for {preferred} was not followed: {', '.join(dict.fromkeys(against[0]))}"
