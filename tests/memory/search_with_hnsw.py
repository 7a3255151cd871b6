"""Searches by the graph while it is built, grown, and built again after deletions. Run as a process: it could crash."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import numpy as np

from sekha_magics.memory.hnsw import Graph
from sekha_magics.memory.matrix import Rows
from tests.memory.models import Models

COUNT, DIMENSION, K = 2000, 256, 10

models = Models({"m": DIMENSION})

# The graph itself answers, where exact search would hide that it does not.
random = np.random.default_rng(0)
points = random.standard_normal((2000, DIMENSION)).astype(np.float32)
points /= np.linalg.norm(points, axis=1, keepdims=True)
rows = Rows(points, np.arange(2000) + 7, None, 0)
graph = Graph(DIMENSION, 500)
graph.build_now(rows)
allowed = random.random(2000) < 0.9
for point in points[:20]:
    for mask in (None, allowed):
        near = graph.nearest(rows, point, K, mask)
        assert near is not None and len(near.seqs) == K
        best = rows.nearest(point, K, mask)
        assert len(set(near.seqs) & set(best.seqs)) >= 0.8 * K
assert graph.nearest(rows, points[0], K, random.random(2000) < 0.05) is None, "exact search is faster"
graph.close()

memory = models.memory(Path(sys.argv[1]), index="hnsw", graph_from=500)
texts = {}


def add(first: int, last: int) -> None:
    for folder, part in (("/most", slice(0, None, 1)), ("/few", slice(0, None, 100))):
        rows = [f"{folder} {i}" for i in range(first, last)][part]
        texts.update(zip(memory.add(rows, conversation=folder, folder=folder), rows, strict=True))
    assert memory.flush() == 0


def check(least_recall: float) -> None:
    recalls = []
    for number in range(40):
        query = f"query {number}"
        for folder in (None, "/most", "/few"):
            allowed = {i: t for i, t in texts.items() if folder is None or t.startswith(folder)}
            found = memory.search(query, K, "vector", folder=folder)
            assert len(found) == min(K, len(allowed)), (folder, len(found), len(allowed))
            assert set(found["message_id"]) <= set(allowed)
            order = np.argsort(-models.cosines(query, list(allowed.values())), kind="stable")[:K]
            ids = list(allowed)
            recalls.append(len({ids[i] for i in order} & set(found["message_id"])) / len(order))
    recall = float(np.mean(recalls))
    assert recall >= least_recall, recall
    print("recall", recall, memory.stats()["detail"].iloc[-1], flush=True)


add(0, COUNT)
check(0.95)
memory.build_index()
assert "hnsw;" in memory.stats()["detail"].iloc[-1], memory.stats()["detail"].iloc[-1]
check(0.95)

stop = threading.Event()
failed: list[BaseException] = []


def search_always() -> None:
    try:
        while not stop.is_set():
            assert len(memory.search("anything", K, "vector")) == K
    except BaseException as error:
        failed.append(error)
        raise


threads = [threading.Thread(target=search_always) for _ in range(2)]
for thread in threads:
    thread.start()
add(COUNT, COUNT + 400)
for _ in range(3):
    memory.delete(message=list(texts)[:20])
    for message_id in list(texts)[:20]:
        del texts[message_id]
    memory.set_message(list(texts)[5], content="/most rewritten")
    texts[list(texts)[5]] = "/most rewritten"
    assert memory.flush() == 0
    memory.build_index()
stop.set()
for thread in threads:
    thread.join()
assert not failed
check(0.95)
memory.build_index()
check(0.95)
memory.fold()
check(0.95)
memory.close()
print("done")
