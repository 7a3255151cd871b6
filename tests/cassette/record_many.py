"""Records fifty answers into the cassette it is given, under names that begin with the text it is given."""

import sys

from sekha_magics.cassette import Cassette, Choice, Recording, render
from sekha_magics.core.catalogue import Catalogue
from sekha_magics.core.types import Cost

cassette = Cassette.open(sys.argv[1], "auto")
choice = Choice("chat_small", "priority", "home", "ollama", "tiny", "priority 1")
for i in range(50):
    text = f"{sys.argv[2]} {i} " + "x" * 20_000
    answer = Recording(choice, "home", "ollama", "tiny", Cost(None, "unpriced"), text=text)
    cassette.record(render("embed", [text], {}), answer, cassette.catalogue or Catalogue(()))
