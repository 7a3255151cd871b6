"""The matrix beside folds that are under way: a vector that is in SQLite and in the file is one vector."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from sekha_magics.memory.archive import Archive
from sekha_magics.memory.matrices import Matrices
from sekha_magics.memory.matrix import Rows
from sekha_magics.memory.scopes import Scopes
from sekha_magics.memory.vectors import Vectors

from .models import Models


def test_a_fold_between_its_two_steps_doubles_nothing(tmp_path: Path) -> None:
    models = Models({"m": 16})
    other = models.memory(tmp_path)
    other.add("first")
    assert other.flush() == 0 and other.fold()
    archive = Archive(tmp_path / "memory.sqlite")
    matrices, scopes = Matrices(Vectors(archive, tmp_path)), Scopes(archive)
    (table,) = matrices.tables()
    before = scopes.seen()
    assert len(matrices.refresh(table, before).seqs) == 1
    other.add([f"text {i}" for i in range(5)])
    assert other.flush() == 0
    with sqlite3.connect(tmp_path / "memory.sqlite") as connection:
        pending = connection.execute("SELECT vector, id FROM vectors WHERE vector IS NOT NULL").fetchall()
        assert len(pending) == 5 and other.fold()
        # The file is in place, and SQLite was not told yet.
        connection.executemany("UPDATE vectors SET vector = ? WHERE id = ?", pending)
    for seen in (before, scopes.seen()):
        seqs = matrices.refresh(table, seen).seqs
        assert len(seqs) == len(set(seqs.tolist())) == 6
    assert len(other.sql("SELECT * FROM embeddings_16")) == 6
    assert other.fold()
    assert len(matrices.refresh(table, scopes.seen()).seqs) == 6
    archive.close()
    other.close()


def test_rows_that_were_handed_out_stay_as_they_were(tmp_path: Path) -> None:
    memory = Models({"m": 16}).memory(tmp_path)
    archive = Archive(tmp_path / "memory.sqlite")
    matrices, scopes = Matrices(Vectors(archive, tmp_path)), Scopes(archive)
    memory.add([f"text {i}" for i in range(10)])
    memory.flush()
    (table,) = matrices.tables()
    held = matrices.refresh(table, scopes.seen())
    copies = [held.vectors.copy(), held.seqs.copy()]
    for turn in range(5):
        memory.delete(message=memory.messages()["message_id"].tolist()[:2])
        memory.add([f"turn {turn} {i}" for i in range(7)])
        memory.flush()
        matrices.refresh(table, scopes.seen())
    np.testing.assert_array_equal(held.vectors, copies[0])
    np.testing.assert_array_equal(held.seqs, copies[1])
    archive.close()
    memory.close()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.09, 0.5, 0.9, 1.0])
def test_the_nearest_are_those_of_numpy_whatever_is_allowed(share: float) -> None:
    random = np.random.default_rng(1)
    vectors = random.standard_normal((2000, 24)).astype(np.float32)
    vectors[100:400] = vectors[100]  # many that are equal
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    rows = Rows(vectors, np.arange(2000) + 5, None, 0)
    allowed = random.random(2000) < share if share < 1 else None
    for k in (1, 10, 350, 5000):
        near = rows.nearest(vectors[100], k, allowed)
        cosines = vectors.astype(np.float64) @ vectors[100].astype(np.float64)
        order = np.lexsort((np.arange(2000), -cosines.round(9)))
        order = order if allowed is None else order[allowed[order]]
        assert near.seqs.tolist() == (order[:k] + 5).tolist()
