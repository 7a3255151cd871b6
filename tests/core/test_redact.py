from __future__ import annotations

import copy
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.redact import Redactor
from sekha_magics.core.wire import Secret

keys = st.text(st.characters(codec="ascii", min_codepoint=33), min_size=6, max_size=40)


@given(st.lists(keys, min_size=1, max_size=4), st.text(max_size=30), st.text(max_size=30))
def test_no_key_is_left_in_a_text(values, before, after):
    redact = Redactor(Secret(v) for v in values)
    for value in values:
        assert value not in redact(f"{before}{value}{after}") or value in f"***{after}" or value in f"{before}***"


def test_of_two_keys_the_longer_goes_whole():
    redact = Redactor([Secret("sk-abcdef"), Secret("sk-abcdef-more")])
    assert redact("key sk-abcdef-more!") == "key ***!"


def test_a_key_learned_later_is_taken_out_too_and_short_values_are_left():
    redact = Redactor()
    assert redact("sk-abcdef abc") == "sk-abcdef abc"
    redact.learn([Secret("sk-abcdef"), Secret("abc")])
    assert redact("sk-abcdef abc") == "*** abc"


def test_a_secret_shows_itself_only_when_asked():
    secret = Secret("sk-visible-nowhere")
    assert "visible" not in f"{secret!r} {secret} {[secret]}"
    assert secret.reveal() == "sk-visible-nowhere"
    assert secret == Secret("sk-visible-nowhere")
    assert len({secret, Secret("sk-visible-nowhere")}) == 1
    with pytest.raises(TypeError):
        pickle.dumps(secret)
    with pytest.raises(TypeError):
        copy.deepcopy(secret)
