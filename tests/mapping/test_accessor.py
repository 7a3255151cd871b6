"""`df.sekha`, and the moment in which it comes to be."""

from __future__ import annotations

import subprocess
import sys

import pandas as pd
import pytest
from pydantic import BaseModel

import sekha_magics as sekha
from sekha_magics.errors import InvalidInput
from tests.registry.stages import provider, registry

FRAME = pd.DataFrame({"text": ["x", None, "y"]}, index=[3, 5, 8])


class Label(BaseModel):
    mood: str
    text: str


def test_answers_stand_in_new_columns_of_a_copy():
    with registry() as reg:
        told = FRAME.sekha.map("Say {{ text }}", registry=reg, into="said")
    assert told.columns.tolist() == ["text", "said", "said_error"]
    assert told["said"].dropna().to_dict() == {3: "Say x", 8: "Say y"}
    assert told["said_error"].dropna().to_dict() == {5: "text is missing"}
    assert FRAME.columns.tolist() == ["text"]


def test_fields_become_columns_and_no_column_of_the_frame_is_lost():
    with registry(provider("a", replies=['{"mood": "good", "text": "short"}'])) as reg:
        told = FRAME.sekha.map("{{ text }}", schema=Label, registry=reg)
    assert told.columns.tolist() == ["text", "mood", "answer_text", "answer_error"]
    assert told["text"].tolist()[0] == "x"
    assert told["answer_text"].tolist()[0] == "short"


def test_the_registry_is_that_of_the_magics():
    with registry() as reg:
        sekha.set_registry(reg)
        try:
            assert FRAME.sekha.map("{{ text }}")["answer"].dropna().tolist() == ["x", "y"]
        finally:
            sekha.set_registry(None)


@pytest.mark.parametrize("into", ["", None, 5])
def test_a_column_needs_a_name(into):
    with pytest.raises(InvalidInput, match="into is"):
        FRAME.sekha.map("{{ text }}", into=into)


@pytest.mark.parametrize(
    "lines",
    [
        "import sekha_magics; assert 'pandas' not in sys.modules; import pandas",
        "import pandas; import sekha_magics",
        "import sekha_magics; from pandas import DataFrame; import pandas",
        "import sekha_magics; import importlib; pandas = importlib.import_module('pandas')",
        "import sekha_magics; import importlib.util as u; assert u.find_spec('pandas'); import pandas",
        "import sekha_magics; [sys.modules.pop(n) for n in list(sys.modules) if n.startswith('sekha')]; "
        "import sekha_magics; import pandas",
        "from IPython.core.interactiveshell import InteractiveShell as S; s = S.instance(); "
        "s.run_line_magic('load_ext', 'sekha_magics'); import pandas",
    ],
)
def test_it_is_there_whatever_was_imported_first_and_pandas_is_as_it_would_have_been(lines):
    script = (
        f"import sys; before = len(sys.meta_path); {lines}; pandas.DataFrame({{'a': [1]}}).sekha.map; "
        "import importlib.resources as r; assert r.files('pandas').is_dir(); "
        "assert 'exec_module' not in vars(pandas.__spec__.loader); "
        "import sekha_magics.accessor as a; a.install(); "
        "assert not any(isinstance(f, a._WhenPandasComes) for f in sys.meta_path)"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_without_pandas_the_package_can_be_imported():
    script = (
        "import sys, sekha_magics\n"
        "sys.path[:] = [p for p in sys.path if 'site-packages' not in p]\n"
        "try:\n    import pandas\nexcept ModuleNotFoundError as error:\n    assert error.name == 'pandas'\n"
        "else:\n    raise SystemExit('pandas was there')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
