"""Generated catalogues and requests, small enough that every rule meets every other."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import strategies as st

from sekha_magics.core.catalogue import Catalogue, Entry, Latency, Price, ProviderState, Rate, RoutingRules, Snapshot
from sekha_magics.core.types import TASKS, ImageFacts, Request, TokenEstimate

money = st.decimals("0", "100", places=6)
rates = st.builds(
    Rate,
    money,
    st.lists(st.tuples(st.integers(1, 100_000), money), max_size=2, unique_by=lambda t: t[0]).map(
        lambda tiers: tuple(sorted(tiers))
    ),
)
prices = st.none() | st.builds(
    Price,
    st.sampled_from(["config", "table"]),
    rates,
    rates,
    cached_input=st.none() | rates,
    cache_write=st.none() | rates,
    per_request=st.sampled_from([Decimal(0), Decimal("0.01")]),
)
PROVIDERS = ("a", "b", "c")
MODELS = ("m1", "m2", "m3")
entries = st.builds(
    Entry,
    position=st.just(0),
    provider_id=st.sampled_from(PROVIDERS),
    provider_type=st.sampled_from(["openai", "ollama"]),
    model_id=st.sampled_from(MODELS),
    tasks=st.lists(st.sampled_from(TASKS[:5]), max_size=3, unique=True).map(tuple),
    priority=st.integers(1, 3),
    enabled=st.booleans(),
    local=st.booleans(),
    context_window=st.none() | st.integers(1, 20_000),
    max_output_tokens=st.none() | st.integers(1, 5_000),
    supports_vision=st.booleans(),
    supports_audio=st.booleans(),
    supports_function_calling=st.booleans(),
    max_images=st.integers(1, 3),
    max_image_bytes=st.integers(1, 2_000),
    image_formats=st.sampled_from([("png", "jpg"), ("png",)]),
    image_urls=st.booleans(),
    price=prices,
    missing_key=st.none() | st.just("set OPENAI_API_KEY"),
    default_for=st.lists(st.sampled_from(TASKS[:5]), max_size=1).map(tuple),
)


@st.composite
def catalogues(draw: st.DrawFn) -> Catalogue:
    from dataclasses import replace

    drawn = draw(st.lists(entries, max_size=6, unique_by=lambda e: (e.provider_id, e.model_id)))
    rules = draw(
        st.builds(
            RoutingRules,
            default_task=st.sampled_from(TASKS[1:4]),
            require_vision_for_images=st.booleans(),
            max_cost_per_request=st.none() | money,
        )
    )
    return Catalogue(tuple(replace(e, position=i) for i, e in enumerate(drawn)), rules)


provider_states = st.builds(
    ProviderState,
    auth_failed=st.none() | st.just("401"),
    breaker=st.sampled_from(["closed", "open", "half_open"]),
    failures=st.integers(0, 5),
    probing=st.booleans(),
    rests=st.none() | st.just("it asked for a pause"),
)
snapshots = st.builds(
    Snapshot,
    catalogues(),
    st.dictionaries(st.sampled_from(PROVIDERS), provider_states, max_size=2),
    st.dictionaries(
        st.tuples(st.sampled_from(PROVIDERS), st.sampled_from(MODELS)),
        st.builds(Latency, st.floats(1, 5_000), st.integers(1, 50)),
        max_size=4,
    ),
)
names = st.none() | st.sampled_from([*MODELS, "a/m1", "nobody"])
requests = st.builds(
    Request,
    task=st.none() | st.sampled_from(TASKS[:5]),
    model=names,
    preferred_model=names,
    require_vision=st.none() | st.booleans(),
    images=st.lists(
        st.builds(ImageFacts, st.sampled_from(["png", "jpeg", "gif"]), st.none() | st.integers(1, 4_000)), max_size=4
    ).map(tuple),
    needs_audio=st.booleans(),
    needs_functions=st.booleans(),
    input_tokens=st.integers(0, 30_000).map(lambda n: TokenEstimate(n // 2, n, n * 2)),
    max_tokens=st.none() | st.integers(1, 10_000),
    context_size=st.none() | st.integers(1, 20_000),
    max_cost=st.none() | money,
    local_only=st.booleans(),
)
