"""The examples of messages that both sides are tested with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from .front import SCHEMA, check

EXAMPLES = sorted((Path(__file__).parent / "messages").glob("*.json"))


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_is_a_message(path: Path):
    check(json.loads(path.read_text("utf-8")))


def test_every_kind_of_message_has_an_example():
    shown = {tuple(sorted(json.loads(path.read_text("utf-8")))) for path in EXAMPLES}
    requests = {one["properties"]["type"]["const"] for one in SCHEMA["$defs"]["request"]["oneOf"]}
    assert requests <= {path.stem for path in EXAMPLES}
    assert len(shown) >= 8
