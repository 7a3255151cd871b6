"""Whatever was added, changed, deleted and folded before: a search by meaning finds what numpy finds."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, multiple, rule

from sekha_magics.core.folders import inside

from .models import Models

DIMENSIONS = (256, 384, 768, 1024, 1536, 3072)
FOLDERS = ("/", "/uni", "/uni/deep", "/universe", "/play")
CONVERSATIONS = ("one", "two", "three")


def agrees(found: pd.DataFrame, query: str, k: int, allowed: dict[str, str], models: Models) -> None:
    """`allowed` are the texts by message id that may be found."""
    truth = np.sort(models.cosines(query, list(allowed.values())))[::-1][:k]
    assert len(found) == min(k, len(allowed)), "k hits, when k exist"
    assert found["message_id"].is_unique
    assert all(allowed[row.message_id] == row.content for row in found.itertuples())
    np.testing.assert_allclose(found["cosine"], truth, atol=2e-6)
    np.testing.assert_allclose(found["cosine"], models.cosines(query, list(found["content"])), atol=2e-6)


@pytest.mark.parametrize("dimension", DIMENSIONS)
def test_every_dimension_and_filter_finds_what_numpy_finds(tmp_path: Path, dimension: int) -> None:
    models = Models({"m": dimension})
    memory = models.memory(tmp_path)
    texts: dict[str, str] = {}
    folders = {"/most": 900, "/some": 90, "/few/deep": 10}
    for folder, count in folders.items():
        rows = [f"{folder} {i}" for i in range(count)]
        texts |= dict(zip(memory.add(rows, conversation=folder, folder=folder), rows, strict=True))
    assert memory.flush() == 0

    def check() -> None:
        for k in (1, 10, 95):
            for query in ("first", "second"):
                agrees(memory.search(query, k, "vector"), query, k, texts, models)
                for folder in ("/most", "/some", "/few"):
                    within = {i: t for i, t in texts.items() if inside(t.partition(" ")[0], folder)}
                    agrees(memory.search(query, k, "vector", folder=folder), query, k, within, models)
                    without = {i: t for i, t in texts.items() if i not in within}
                    agrees(memory.search(query, k, "vector", exclude=folder), query, k, without, models)

    check()
    assert memory.fold()
    check()
    gone = [*list(texts)[::3]]
    assert memory.delete(message=gone) == len(gone)
    for message_id in gone:
        del texts[message_id]
    check()
    for message_id in list(texts)[::50]:
        texts[message_id] += " rewritten"
        memory.set_message(message_id, content=texts[message_id])
    assert memory.flush() == 0
    check()
    assert memory.fold()
    check()
    memory.close()
    memory = models.memory(tmp_path)
    check()
    memory.close()


class Remembering(RuleBasedStateMachine):
    """Two kernels on one memory, and a model of it in plain Python."""

    messages = Bundle("messages")

    @initialize(dimension=st.sampled_from(DIMENSIONS))
    def begin(self, dimension: int) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.models = Models({"m": dimension})
        self.kernels = [self.models.memory(self.folder) for _ in range(2)]
        self.text: dict[str, str] = {}
        self.own: dict[str, str | None] = {}
        self.conversation: dict[str, str] = {}
        self.folders: dict[str, str] = {}
        self.archived: set[str] = set()
        self.count = 0

    @rule(
        target=messages,
        kernel=st.integers(0, 1),
        conversation=st.sampled_from(CONVERSATIONS),
        folder=st.none() | st.sampled_from(FOLDERS),
        count=st.integers(1, 40),
    )
    def add(self, kernel: int, conversation: str, folder: str | None, count: int) -> Any:
        texts = [f"word{i % 3} number {self.count + i}" for i in range(count)]
        self.count += count
        ids = self.kernels[kernel].add(texts, conversation=conversation, folder=folder)
        if conversation not in self.folders:
            self.folders[conversation] = folder or "/"
            folder = None
        for message_id, text in zip(ids, texts, strict=True):
            self.text[message_id], self.conversation[message_id] = text, conversation
            self.own[message_id] = None if folder == self.folders[conversation] else folder
        self.kernels[kernel].flush()
        return multiple(*ids)

    @rule(message_id=consumes(messages), kernel=st.integers(0, 1))
    def delete(self, message_id: str, kernel: int) -> None:
        if message_id in self.text:
            assert self.kernels[kernel].delete(message=message_id) == 1
            self._forget(message_id)

    @rule(conversation=st.sampled_from(CONVERSATIONS), kernel=st.integers(0, 1))
    def delete_conversation(self, conversation: str, kernel: int) -> None:
        if conversation in self.folders:
            mine = [i for i, c in self.conversation.items() if c == conversation]
            assert self.kernels[kernel].delete(conversation=conversation) == len(mine)
            for message_id in mine:
                self._forget(message_id)
            del self.folders[conversation]
            self.archived.discard(conversation)

    def _forget(self, message_id: str) -> None:
        for part in (self.text, self.own, self.conversation):
            del part[message_id]

    @rule(message_id=messages, kernel=st.integers(0, 1))
    def rewrite(self, message_id: str, kernel: int) -> None:
        if message_id in self.text:
            self.count += 1
            self.text[message_id] = f"word4 number {self.count}"
            self.kernels[kernel].set_message(message_id, content=self.text[message_id])
            self.kernels[kernel].flush()

    @rule(conversation=st.sampled_from(CONVERSATIONS), folder=st.sampled_from(FOLDERS), kernel=st.integers(0, 1))
    def move(self, conversation: str, folder: str, kernel: int) -> None:
        if conversation in self.folders:
            self.kernels[kernel].set_conversation(conversation, folder=folder)
            self.folders[conversation] = folder

    @rule(conversation=st.sampled_from(CONVERSATIONS), archived=st.booleans(), kernel=st.integers(0, 1))
    def archive(self, conversation: str, archived: bool, kernel: int) -> None:
        if conversation in self.folders:
            self.kernels[kernel].set_conversation(conversation, archived=archived)
            (self.archived.add if archived else self.archived.discard)(conversation)

    @rule(kernel=st.integers(0, 1))
    def fold(self, kernel: int) -> None:
        assert self.kernels[kernel].fold()

    @rule(kernel=st.integers(0, 1))
    def begin_anew(self, kernel: int) -> None:
        self.kernels[kernel].close()
        self.kernels[kernel] = self.models.memory(self.folder)

    @rule(
        kernel=st.integers(0, 1),
        folder=st.none() | st.sampled_from(FOLDERS),
        exclude=st.lists(st.sampled_from(FOLDERS[1:]), max_size=2),
        k=st.sampled_from([1, 5, 60]),
        archived=st.booleans(),
    )
    def search(self, kernel: int, folder: str | None, exclude: list[str], k: int, archived: bool) -> None:
        allowed = {
            message_id: text
            for message_id, text in self.text.items()
            if (folder is None or inside(self._folder(message_id), folder))
            and not any(inside(self._folder(message_id), out) for out in exclude)
            and (archived or self.conversation[message_id] not in self.archived)
        }
        ask = {"folder": folder, "exclude": exclude, "archived": archived}
        found = self.kernels[kernel].search("what was it", k, "vector", **ask)
        agrees(found, "what was it", k, allowed, self.models)
        for word in ("word1", "word4"):
            said = {i for i, text in allowed.items() if word in text}
            by_words = self.kernels[kernel].search(word, 1000, "text", **ask)
            assert set(by_words["message_id"]) == said

    def _folder(self, message_id: str) -> str:
        return self.own[message_id] or self.folders[self.conversation[message_id]]

    @invariant()
    def nothing_is_lost(self) -> None:
        if hasattr(self, "text"):
            assert set(self.kernels[0].messages()["message_id"]) == set(self.text)

    def teardown(self) -> None:
        if hasattr(self, "kernels"):
            for kernel in self.kernels:
                kernel.close()
            shutil.rmtree(self.folder)


TestRemembering = Remembering.TestCase
TestRemembering.settings = settings(max_examples=25, stateful_step_count=25, deadline=None)
