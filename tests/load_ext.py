"""Loads the extension in a fresh IPython shell, and prints which heavy modules that imported."""

import sys

from IPython.core.interactiveshell import InteractiveShell

HEAVY = (
    *("litellm", "duckdb", "pandas", "ipywidgets", "anywidget", "httpx", "pydantic", "numpy", "pyarrow", "anyio"),
    "jsonschema",
)

shell = InteractiveShell.instance()
before = set(sys.modules)
shell.run_line_magic("load_ext", "sekha_magics")
print(*(name for name in HEAVY if name in sys.modules and name not in before))
assert "sekha_chat" in shell.magics_manager.magics["cell"]
