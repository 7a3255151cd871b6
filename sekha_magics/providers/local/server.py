"""The embedded model's process: llama.cpp behind an OpenAI-compatible server on loopback.

Run as `python -m sekha_magics.providers.local.server`. One JSON line on standard input says what to serve (path, key,
alias, threads, context, log); one JSON line on standard output says where (`{"address": ...}`). The process ends when
standard input does, and so it never outlives the kernel that started it, however that ended. Whatever llama.cpp
prints goes to the log, and the key is in no argument list and no environment.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

__all__ = ["default_threads", "main"]

# llama.cpp's levels: warnings and errors. One level more would name every request.
_WARNINGS = 2
_CGROUP_QUOTA = Path("/sys/fs/cgroup/cpu.max")


def default_threads() -> int:
    """One less than the cores this process may use, at least 1.

    llama.cpp's threads wait for each other by spinning: with as many as there are cores, any other busy process makes
    an answer many times slower. A container's quota counts, because the cores it shows may not be its own.
    """
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    # There is no such file outside Linux containers, and the word "max" in it where there is no limit.
    with suppress(OSError, ValueError):
        quota, period = _CGROUP_QUOTA.read_text(encoding="ascii").split()
        cores = min(cores, max(1, int(quota) // int(period)))
    return max(1, cores - 1)


def main() -> None:
    # Ctrl-C in a terminal goes to every process of its group; this one must answer the next cell.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    order = json.loads(sys.stdin.buffer.readline())
    reply_to = _log_everything_to(order["log"])
    try:
        server = _serve(order)
    except (ImportError, RuntimeError) as error:
        # The log's last lines are shown to the user: what llama.cpp said, and not where we stood.
        sys.exit(f"{type(error).__name__}: {error}")
    with os.fdopen(reply_to, "w", encoding="utf-8") as stream:
        stream.write(json.dumps({"address": server.listening_address}) + "\n")
    while sys.stdin.buffer.read(1 << 16):
        pass
    # Not `sys.exit`: an answer under way would be waited for.
    os._exit(0)


def _log_everything_to(path: str) -> int:
    """Point standard output and error at the log; returns a descriptor of what standard output was."""
    reply_to = os.dup(1)
    log = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    return reply_to


def _serve(order: dict[str, Any]) -> Any:
    import xllamacpp

    threads = order["threads"] or default_threads()
    params = xllamacpp.CommonParams()
    params.model.path = order["path"]
    params.model_alias = {order["alias"]}
    params.hostnames = ["127.0.0.1"]
    params.port = 0
    params.api_keys = [order["key"]]
    # No web page has any business here, whatever it knows.
    params.cors_origins = "null"
    params.cors_credentials = False
    params.ui = False
    params.endpoint_slots = False
    params.verbosity = _WARNINGS
    # A ping would count as a sign of life and hide a model that has stopped.
    params.sse_ping_interval = -1
    # One answer at a time: in parallel they are no sooner done, take a cache each, and a seed no longer
    # determines the text.
    params.n_parallel = 1
    params.n_ctx = order["context"]
    for cpu in (params.cpuparams, params.cpuparams_batch):
        cpu.n_threads = threads
    return xllamacpp.Server(params)


if __name__ == "__main__":
    main()
