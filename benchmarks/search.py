"""Search by meaning beside plain numpy and usearch, over clustered vectors, in turns in one run: the ratios count.

Exact search is held against one matrix product and `argpartition` in numpy (goal: within 1.5 times), filtered search
against unfiltered (goal: within 2 times). `index` is what the memory does for each query once it is embedded: looking
whether other kernels added or deleted anything, then the search; `search` is all of `reg.memory.search`. `start` is a
fresh process, from the import to its first answer. Recall is that of the best 10.

    python benchmarks/search.py [COUNTxDIMENSION ...]       such as 10000x768 100000x768 20000x3072
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import numpy as np
import psutil

from sekha_magics.memory.embedding import Embedder
from sekha_magics.memory.scopes import Wanted
from sekha_magics.memory.store import Memory

MODEL, QUERIES, K = "clustered", 60, 10
SHARES = {"/most": 0.90, "/some": 0.09, "/few": 0.01}


class Answer(NamedTuple):
    vectors: Any
    model_id: str


class Clustered:
    """Vectors around a few hundred middles, and an embedder whose queries lie among them."""

    def __init__(self, dimension: int) -> None:
        self.random = np.random.default_rng(7)
        self.middles = self.random.standard_normal((300, dimension), dtype=np.float32)

    def vectors(self, count: int) -> np.ndarray[Any, Any]:
        chosen = self.middles[self.random.integers(len(self.middles), size=count)]
        made: np.ndarray[Any, Any] = chosen
        made += 0.7 * self.random.standard_normal(chosen.shape, dtype=np.float32)
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made

    def embedder(self) -> Embedder:
        def embed(texts: Sequence[str], _model: str | None) -> Answer:
            random = np.random.default_rng(abs(hash(texts[0])) % 2**32)
            middle = self.middles[random.integers(len(self.middles))]
            off = 0.7 * random.standard_normal(len(middle), dtype=np.float32)
            return Answer(np.atleast_2d(middle + off), MODEL)

        return Embedder(embed, lambda: [MODEL], lambda: True)


def shuffled(count: int) -> np.ndarray[Any, Any]:
    """Which message, counted from 0 in the order of adding, each vector belongs to: none has a share to itself."""
    return np.random.default_rng(1).permutation(count)


def rss() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


def clock(work: Callable[[], Any]) -> float:
    """Seconds."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def in_turns(works: dict[str, Callable[[int], Any]], turns: int) -> dict[str, list[float]]:
    """Milliseconds of each, after one round to warm up."""
    took: dict[str, list[float]] = {name: [] for name in works}
    for turn in range(turns + 1):
        for name, work in works.items():
            milliseconds = 1000 * clock(lambda work=work, turn=turn: work(turn % QUERIES))  # type: ignore[misc]
            if turn:
                took[name].append(milliseconds)
    return took


def said(name: str, took: list[float], beside: list[float], of: str, more: str = "") -> None:
    p95 = sorted(took)[int(0.95 * len(took))]
    ratio = median(took) / median(beside)
    print(f"  {name:<22} p50 {median(took):8.2f} ms   p95 {p95:8.2f} ms   {ratio:6.2f} x {of}   {more}", flush=True)


def filled(folder: Path, vectors: np.ndarray[Any, Any], embedder: Embedder) -> Memory:
    quiet = Embedder(embedder.embed, list, embedder.mixes)
    memory = Memory(folder, quiet)
    ids: list[str] = []
    started = time.perf_counter()
    for name, share in SHARES.items():
        rows = [f"message {i} in {name}" for i in range(round(share * len(vectors)))]
        ids += memory.add(rows, conversation=name, folder=name)
    between = time.perf_counter()
    order = shuffled(len(ids))
    memory.add_vectors(MODEL, [ids[i] for i in order], vectors[: len(ids)])
    ended = time.perf_counter()
    size = sum(path.stat().st_size for path in folder.glob("*.duckdb")) / 1e6
    print(
        f"  messages added in {between - started:.1f} s, vectors in {ended - between:.1f} s;"
        f" {vectors.nbytes / 1e6:.0f} MB of vectors in a file of {size:.0f} MB"
    )
    memory.close()
    return Memory(folder, embedder)


def measure(count: int, dimension: int) -> None:
    clustered = Clustered(dimension)
    vectors = clustered.vectors(count)
    queries = clustered.vectors(QUERIES)
    print(f"{count} x {dimension}")
    with tempfile.TemporaryDirectory() as home:
        embedder = clustered.embedder()
        memory = filled(Path(home), vectors, embedder)
        start(home, dimension)
        before = rss()
        print(f"  first search {1000 * clock(lambda: memory.search('x', K, 'vector')):.0f} ms, ", end="")
        print(f"{rss() - before:.0f} MB more in memory")
        compare(memory, vectors, queries, turns=QUERIES if count < 50_000 else 30)
        memory.close()
        graphs(Path(home), vectors, queries, embedder)


def start(home: str, dimension: int) -> None:
    took = [
        clock(lambda: subprocess.run([sys.executable, __file__, "--start", home, str(dimension)], check=True))
        for _ in range(3)
    ]
    print(f"  start of a kernel to its first answer {median(took):.2f} s")


def searches(memory: Memory, queries: np.ndarray[Any, Any], **wanted: Any) -> Callable[[int], Any]:
    """What a search does with the embedded query."""
    scopes, matrices = memory._scopes, memory._matrices

    def search(number: int) -> Any:
        (table,) = matrices.tables()
        rows = matrices.refresh(table, scopes.seen())
        return matrices.nearest(table, rows, queries[number], K, scopes.allowed(Wanted(**wanted)))

    return search


def compare(memory: Memory, vectors: np.ndarray[Any, Any], queries: np.ndarray[Any, Any], turns: int) -> None:
    def plain(number: int) -> Any:
        products = vectors @ queries[number]
        best = np.argpartition(products, -K)[-K:]
        return best[np.argsort(-products[best])]

    took = in_turns(
        {
            "numpy": plain,
            "exact, index": searches(memory, queries),
            **{f"in {share:.0%}": searches(memory, queries, folder=name) for name, share in SHARES.items()},
            "without 9%": searches(memory, queries, exclude=("/some",)),
            "exact, search": lambda number: memory.search(f"query {number}", K, "vector"),
        },
        turns,
    )
    said("numpy", took["numpy"], took["numpy"], "numpy")
    recall = recall_of(searches(memory, queries), vectors, queries)
    said("exact, index", took["exact, index"], took["numpy"], "numpy", f"(goal 1.50), recall {recall:.3f}")
    for name in [*(f"in {share:.0%}" for share in SHARES.values()), "without 9%"]:
        said(f"exact, {name}", took[name], took["exact, index"], "unfiltered", "(goal 2.00)")
    said("exact, search", took["exact, search"], took["numpy"], "numpy", "(with the DataFrame)")


def recall_of(search: Callable[[int], Any], vectors: np.ndarray[Any, Any], queries: np.ndarray[Any, Any]) -> float:
    """The share of numpy's best that is found, over all queries."""
    # A message's number counts from 1.
    seqs = shuffled(len(vectors)) + 1
    best = [set(seqs[(vectors @ query).argpartition(-K)[-K:]].tolist()) for query in queries]
    return float(np.mean([len(set(search(i).seqs.tolist()) & of) / K for i, of in enumerate(best)]))


def graphs(home: Path, vectors: np.ndarray[Any, Any], queries: np.ndarray[Any, Any], embedder: Embedder) -> None:
    from usearch.index import Index

    before = rss()
    peer = Index(ndim=vectors.shape[1], metric="cos", dtype="f32")
    peer_built = clock(lambda: peer.add(np.arange(len(vectors)), vectors))
    peer_size = rss() - before
    memory = Memory(home, embedder, index="hnsw", graph_from=1)
    exact = Memory(home, embedder)
    ask, truth = searches(memory, queries), searches(exact, queries)
    truth(0)
    memory._matrices.refresh(memory._matrices.tables()[0], memory._scopes.seen())
    before = rss()
    built = clock(memory.build_index)
    size = rss() - before
    took = in_turns({"exact": truth, "hnsw": ask, "usearch": lambda number: peer.search(queries[number], K)}, QUERIES)
    best = [set((vectors @ query).argpartition(-K)[-K:].tolist()) for query in queries]
    found = [set(peer.search(query, K).keys.tolist()) for query in queries]
    peer_recall = np.mean([len(a & b) / K for a, b in zip(best, found, strict=True)])
    same = [len(set(truth(i).seqs.tolist()) & set(ask(i).seqs.tolist())) / K for i in range(len(queries))]
    said("hnsw", took["hnsw"], took["exact"], "exact", f"recall {np.mean(same):.3f}, {built:.0f} s, {size:.0f} MB more")
    more = f"recall {peer_recall:.3f}, {peer_built:.0f} s, {peer_size:.0f} MB"
    said("usearch", took["usearch"], took["exact"], "exact", more)
    memory.close()
    exact.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--start"]:
        assert len(Memory(Path(sys.argv[2]), Clustered(int(sys.argv[3])).embedder()).search("x", K, "vector")) == K
    else:
        for form in sys.argv[1:] or ["10000x768"]:
            measure(*map(int, form.split("x")))
