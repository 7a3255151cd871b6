"""HTTP statuses and the headers that ask for patience."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.errors import BadRequest, ProviderError, RateLimited, ServerFailed
from sekha_magics.providers.statuses import failure_class, retry_after

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "3"}, 3.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-4"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1.0),
    ],
)
def test_the_wait_is_read_from_either_header(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers, NOON) == seconds


@given(st.text(max_size=40))
def test_a_strange_header_is_no_error(text: str) -> None:
    wait = retry_after({"retry-after": text}, NOON)
    assert wait is None or wait >= 0


@given(st.integers(300, 999))
def test_every_status_that_is_no_success_has_a_class(status: int) -> None:
    assert issubclass(failure_class(status), ProviderError)
    if status >= 500:
        assert failure_class(status) is ServerFailed


def test_the_request_itself_is_at_fault_for_other_statuses() -> None:
    assert failure_class(429) is RateLimited
    assert {failure_class(status) for status in (302, 400, 405, 409, 413, 415, 422, 451)} == {BadRequest}
