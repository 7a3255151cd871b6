"""Forks while another thread is inside the cassette; the child must play and record nevertheless."""

import os
import sys
import threading

from sekha_magics.cassette import Cassette, Choice, Recording, render
from sekha_magics.core.catalogue import Catalogue
from sekha_magics.core.types import Cost

entered, leave = threading.Event(), threading.Event()


def redact(text: str) -> str:
    return text


class Slow(Catalogue):
    """Keeps whoever compares it inside the cassette, until told to leave."""

    def to_json(self):  # type: ignore[no-untyped-def]
        entered.set()
        leave.wait(60)
        return super().to_json()


choice = Choice("chat_small", "priority", "home", "ollama", "tiny", "priority 1")
answer = Recording(choice, "home", "ollama", "tiny", Cost(None, "unpriced"), text="hi")
cassette = Cassette.open(sys.argv[1], "auto")
cassette.record(render("embed", ["first"], {}), answer, Catalogue(()))
holder = threading.Thread(target=cassette.record, args=(render("embed", ["slow"], {}), answer, Slow(())), daemon=True)
holder.start()
assert entered.wait(60)
child = os.fork()
if child == 0:
    assert cassette.play(render("embed", ["second"], {})) is None
    cassette.record(render("embed", ["second"], {}), answer, Catalogue(()))
    os._exit(0)
_, status = os.waitpid(child, 0)
# The parent's own thread is left where it is: only what the child did is looked at.
os._exit(os.waitstatus_to_exitcode(status))
