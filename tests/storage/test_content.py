"""Texts by hash: the same text is one row, and what is not kept is said to be missing."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sekha_magics.core.content import Image, Message, Text
from sekha_magics.storage.content import ContentStore, hash_prompt, hash_text


@pytest.fixture
def store(tmp_path: Path):
    store = ContentStore(tmp_path / "content.sqlite")
    yield store
    store.close()


def asked(text: str) -> Message:
    return Message("user", (Text(text),))


def test_the_hash_of_a_text_is_its_sha256() -> None:
    assert hash_text("Grüße").sha256 == hashlib.sha256("Grüße".encode()).hexdigest()


def test_nothing_is_kept_before_something_was_put(store: ContentStore) -> None:
    assert store.get(["0" * 64]) == {} and not store.path.exists()


def test_texts_and_prompts_come_back(store: ContentStore) -> None:
    answer, prompt = hash_text("fine"), hash_prompt([asked("how?"), Message("assistant", (Text("so"),))], str)
    store.put(answer.bodies)
    store.put(answer.bodies)
    store.put(prompt.bodies)
    assert store.texts([answer.sha256, answer.sha256, "0" * 64]) == {answer.sha256: "fine"}
    assert store.prompts([prompt.sha256]) == {prompt.sha256: "user: how?\n\nassistant: so"}


def test_more_hashes_than_one_statement_takes(store: ContentStore) -> None:
    texts = [hash_text(str(n)) for n in range(1300)]
    store.put({t.sha256: body for t in texts for body in t.bodies.values()})
    assert len(store.get(t.sha256 for t in texts)) == 1300


def test_a_prompt_is_cleaned_before_it_is_hashed() -> None:
    clean = hash_prompt([asked("my *** key")], str)
    redacted = hash_prompt([asked("my secret key")], lambda text: text.replace("secret", "***"))
    assert redacted.sha256 == clean.sha256 and redacted.bodies == clean.bodies


def test_what_did_not_reach_the_file_is_found_among_the_kept(store: ContentStore) -> None:
    prompt = hash_prompt([asked("hello")], str)
    assert store.prompts([prompt.sha256], prompt.bodies) == {prompt.sha256: "hello"}
    assert store.prompts([prompt.sha256], {}) == {}


def test_a_message_that_is_lost_leaves_the_rest_readable(store: ContentStore) -> None:
    prompt = hash_prompt([asked("one"), asked("two")], str)
    lost = hash_prompt([asked("one")], str).bodies
    store.put({sha256: body for sha256, body in prompt.bodies.items() if sha256 not in lost})
    assert store.prompts([prompt.sha256]) == {prompt.sha256: "?: [not kept]\n\nuser: two"}


@given(texts=st.lists(st.text(), min_size=1, max_size=4), others=st.lists(st.text(), min_size=1, max_size=4))
def test_different_prompts_have_different_hashes(texts: list[str], others: list[str]) -> None:
    one, two = (hash_prompt([asked(text) for text in each], str).sha256 for each in (texts, others))
    assert (one == two) == (texts == others)


def test_roles_images_and_order_make_a_prompt_another_one() -> None:
    picture, other = Image("png", b"1"), Image("png", b"2")
    prompts = [
        [asked("a"), asked("b")],
        [asked("b"), asked("a")],
        [asked("ab")],
        [Message("system", (Text("ab"),))],
        [Message("user", (Text("ab"), picture))],
        [Message("user", (Text("ab"), other))],
        [Message("user", (Text("ab"), Image("png", url="https://example.org")))],
    ]
    assert len({hash_prompt(prompt, str).sha256 for prompt in prompts}) == len(prompts)
