"""Runs a notebook without a browser, and sums up what its cells left behind.

    python tools/demo.py NOTEBOOK FOLDER

The executed copy goes to FOLDER. The summary is read from that copy and from the ledger, so it shows nothing that a
reader of the two could not find there. Keys of paid providers are withheld: the demo costs nothing.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

WITHHELD = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "SEKHA_CASSETTE", "SEKHA_MODE")
CELL_SECONDS = 600


def main(notebook: Path, folder: Path) -> int:
    for name in WITHHELD:
        os.environ.pop(name, None)
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / notebook.name
    started = time.monotonic()
    document = nbformat.read(notebook, as_version=4)  # type: ignore[no-untyped-call]
    try:
        run(document, notebook.parent)
    except CellExecutionError as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        nbformat.write(document, target)  # type: ignore[no-untyped-call]
    took = time.monotonic() - started
    answers = list(answers_of(document))
    print(f"\nThe notebook, run in {took:.0f} s: {target}")
    print(f"To look at it: {Path(sys.executable).parent / 'jupyter'} lab {target}\n")
    for answer in answers:
        print(sentence(answer))
    os.chdir(notebook.parent)
    return 0 if answers and ledger_holds({a["decision_id"] for a in answers}) else 1


def run(document: nbformat.NotebookNode, folder: Path) -> None:
    code = [cell for cell in document.cells if cell.cell_type == "code"]

    def say(cell: Any, **_: Any) -> None:
        if cell.cell_type == "code":
            number = next(i for i, other in enumerate(code, 1) if other is cell)
            first = next(iter(cell.source.strip().splitlines()), "")
            print(f"    cell {number} of {len(code)}: {first[:70]}", flush=True)

    client = NotebookClient(
        document,
        timeout=CELL_SECONDS,
        on_cell_start=say,
        resources={"metadata": {"path": str(folder)}},
        # The kernel's warnings are for who runs servers.
        extra_arguments=["--log-level=40"],
    )
    client.execute()


def answers_of(document: nbformat.NotebookNode) -> Iterator[Mapping[str, Any]]:
    """What each answered cell says of itself in its output's metadata."""
    for cell in document.cells:
        for output in cell.get("outputs", ()):
            facts = output.get("metadata", {}).get("sekha", {})
            if "input_tokens" in facts and "decision_id" in facts:
                yield facts


def sentence(answer: Mapping[str, Any]) -> str:
    usd = answer.get("cost_usd")
    cost = "unpriced" if usd is None else f"${Decimal(str(usd)):f}"
    tokens = f"{answer.get('input_tokens')} tokens in, {answer.get('output_tokens')} out"
    seconds = float(answer.get("latency_ms") or 0) / 1000
    return (
        f"  {answer.get('model_id')} at {answer.get('provider_id')} answered a {answer.get('task')} request\n"
        f"    because: {answer.get('reason')}\n"
        f"    {tokens}; {cost} ({answer.get('cost_source')}); {seconds:.1f} s"
    )


def ledger_holds(decisions: set[str]) -> bool:
    """Print what the ledger has of this run; is every decision in it?"""
    import sekha_magics as sekha

    registry = sekha.get_registry()
    calls = registry.ledger.calls()
    own = calls[calls["decision_id"].isin(decisions)]
    print(f"\nThe ledger, {registry.ledger.path}: {len(calls)} calls in all, {len(own)} of them from this run")
    registry.close()
    return set(own["decision_id"]) == decisions


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
