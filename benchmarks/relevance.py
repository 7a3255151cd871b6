"""Whether what is found is what was meant: search of a memory over questions whose answers others have labelled.

The set is the English part of `chatterbot-corpus`, fetched by its name (with the peer, `rank-bm25`) into `.cache/`. The
protocol stands in docs/benchmarks.md and was written before the first measurement: nothing is trained or tuned here.
Documents are the answers of all files; a question counts as found by those answers that follow it in the corpus.
Intervals are percentiles of a bootstrap over the questions; differences are paired by question.

    python benchmarks/relevance.py
"""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

CACHE = Path(__file__).parents[1] / ".cache" / "relevance"
CORPUS, PEER = "chatterbot-corpus==1.3.3", "rank-bm25==0.2.2"
SETS = {
    "facts": ("trivia", "science", "literature", "history", "money", "computers", "tech_support"),
    "code": ("coding",),
}
K, RESAMPLES, SEED = 10, 10_000, 20261126
METRICS = ("nDCG@10", "recall@10", "MRR@10")
PAIRS = (
    ("hybrid", "vector"),
    ("hybrid", "text"),
    ("vector", "text"),
    ("text", "rank-bm25"),
    ("vector", "numpy"),
)


class Labelled(NamedTuple):
    """`relevant` are the numbers of the answers to each question."""

    answers: list[str]
    questions: list[str]
    relevant: list[set[int]]


def wheel(requirement: str) -> Path:
    """The wheel of a package, from the cache or by pip."""
    stem = requirement.replace("-", "_").replace("==", "-")
    found = sorted(CACHE.glob(f"{stem}-*.whl"))
    if not found:
        CACHE.mkdir(parents=True, exist_ok=True)
        pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:"]
        subprocess.run([*pip, "--dest", str(CACHE), requirement], check=True)
        found = sorted(CACHE.glob(f"{stem}-*.whl"))
    return found[0]


def conversations() -> dict[str, list[list[str]]]:
    """Those of each English file, as statements."""
    with zipfile.ZipFile(wheel(CORPUS)) as files:
        names = sorted(n for n in files.namelist() if "/english/" in n and n.endswith(".yml"))
        read = {Path(name).stem: yaml.safe_load(files.read(name))["conversations"] for name in names}
    return {name: [[str(said).strip() for said in each] for each in found] for name, found in read.items()}


def labelled(files: Mapping[str, list[list[str]]], chosen: Sequence[str]) -> Labelled:
    """Questions that differ in more than case are one question; an answer that occurs twice is one answer."""
    pairs = [(name, each[0], each[1]) for name, found in files.items() for each in found if len(each) > 1]
    pairs = [(name, question, answer) for name, question, answer in pairs if question and answer]
    answers = list(dict.fromkeys(answer for _, _, answer in pairs))
    number = {answer: i for i, answer in enumerate(answers)}
    of: dict[str, set[int]] = {}
    wording: dict[str, str] = {}
    asked: dict[str, None] = {}
    for name, question, answer in pairs:
        key = question.casefold()
        of.setdefault(key, set()).add(number[answer])
        wording.setdefault(key, question)
        if name in chosen:
            asked[key] = None
    return Labelled(answers, [wording[key] for key in asked], [of[key] for key in asked])


def scores(ranking: Sequence[int], relevant: set[int]) -> tuple[float, float, float]:
    """nDCG, recall and the reciprocal rank of the first hit, all of the best ten; relevance is yes or no."""
    hits = [1.0 if found in relevant else 0.0 for found in ranking[:K]]
    gain = sum(hit / math.log2(rank + 2) for rank, hit in enumerate(hits))
    ideal = sum(1 / math.log2(rank + 2) for rank in range(min(K, len(relevant))))
    first = next((1 / (rank + 1) for rank, hit in enumerate(hits) if hit), 0.0)
    return gain / ideal, sum(hits) / len(relevant), first


def ours(data: Labelled) -> dict[str, Callable[[str], list[int]]]:
    from sekha_magics import Registry

    model = {"model_id": "wordllama-256", "tasks": ["embedding"], "dimension": 256}
    reg = Registry.from_dict({"llm_providers": [{"id": "embedded", "type": "local", "models": [model]}]})
    number = dict(zip(reg.memory.add(data.answers), range(len(data.answers)), strict=True))
    left = reg.memory.flush()
    if left:
        raise RuntimeError(f"{left} answers have no vector")

    def by(mode: Any) -> Callable[[str], list[int]]:
        return lambda question: [number[i] for i in reg.memory.search(question, K, mode)["message_id"]]

    return {mode: by(mode) for mode in ("vector", "text", "hybrid")}


def peers(data: Labelled) -> dict[str, Callable[[str], list[int]]]:
    import wordllama

    sys.path.insert(0, str(wheel(PEER)))
    from rank_bm25 import BM25Okapi  # type: ignore[import-not-found]

    def words(text: str) -> list[str]:
        return re.findall(r"\w+", text.lower())

    folder = Path(wordllama.__file__).parent
    model = wordllama.WordLlama.load(cache_dir=folder, disable_download=True)
    vectors = np.asarray(model.embed(data.answers, norm=True))
    index = BM25Okapi([words(answer) for answer in data.answers])

    def best(of: np.ndarray[Any, Any]) -> list[int]:
        return [int(i) for i in np.argsort(-of, kind="stable")[:K]]

    return {
        "numpy": lambda question: best(vectors @ model.embed([question], norm=True)[0]),
        "rank-bm25": lambda question: best(index.get_scores(words(question))),
    }


def interval(means: np.ndarray[Any, Any]) -> str:
    low, high = np.percentile(means, [2.5, 97.5])
    return f"{low:+.3f} to {high:+.3f}" if low < 0 else f"{low:.3f} to {high:.3f}"


def report(name: str, data: Labelled, ways: Mapping[str, Callable[[str], list[int]]]) -> None:
    count = len(data.questions)
    print(f"\n{name}: {count} questions, {len(data.answers)} answers, "
          f"{sum(map(len, data.relevant)) / count:.2f} relevant to a question")  # fmt: skip
    got = {
        way: np.array([scores(find(q), r) for q, r in zip(data.questions, data.relevant, strict=True)])
        for way, find in ways.items()
    }
    # The same resamples for all ways: that is what pairs them.
    chosen = np.random.default_rng(SEED).integers(count, size=(RESAMPLES, count))
    print(f"  {'':<22}" + "".join(f"{metric:<28}" for metric in METRICS))
    means = {way: np.stack([of[:, m][chosen].mean(axis=1) for m in range(3)]) for way, of in got.items()}
    for way, of in got.items():
        cells = [f"{of[:, m].mean():.3f} ({interval(means[way][m])})" for m in range(3)]
        print(f"  {way:<22}" + "".join(f"{cell:<28}" for cell in cells))
    for one, other in PAIRS:
        cells = [
            f"{(got[one] - got[other])[:, m].mean():+.3f} ({interval(means[one][m] - means[other][m])})"
            for m in range(3)
        ]
        print(f"  {one + ' - ' + other:<22}" + "".join(f"{cell:<28}" for cell in cells))


def main() -> None:
    files = conversations()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        os.environ["SEKHA_HOME"] = home
        sets = {name: labelled(files, chosen) for name, chosen in SETS.items()}
        any_set = next(iter(sets.values()))
        ways = {**ours(any_set), **peers(any_set)}
        for name, data in sets.items():
            report(name, data, ways)


if __name__ == "__main__":
    main()
