"""From a cell in a real kernel to the bytes each provider receives, under the key of its own configuration alone."""

from __future__ import annotations

import base64
import io
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.upstream.answers import Answer
from tests.upstream.server import Upstream

from .running import configured, files_with, metadata, run

pytestmark = pytest.mark.kernel

KEYS = {name: f"sk-recognisable-{name}-0123456789abcdef" for name in ("one", "two", "claude", "router")}
HOSTILE = (
    'keep {"a": 1} {x} {{}} $5 and $x %d %s "double" \'single\' \\n \\ 👩‍👩‍👧 é;\n# a comment, not one\n!ls\n%magic\n;'
)


def picture() -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (2, 2), (255, 0, 0)).save(buffer, format="PNG")
    return buffer.getvalue()


def providers(upstream: Upstream) -> list[dict[str, Any]]:
    seeing = {"context_window": 100_000, "supports_vision": True}

    def one(name: str, kind: Any, model: str, key: str | None, priority: int, **more: Any) -> dict[str, Any]:
        return {"id": name, "type": kind, "base_url": upstream.url(kind), "priority": priority,
                "models": [{"model_id": model, "tasks": ["chat_small"], **seeing, **more}],
                **({"api_key": KEYS[key]} if key else {})}  # fmt: skip

    return [
        one("openai_one", "openai", "gpt-4o-mini", "one", 1, price={"input": 2, "output": 10}),
        one("openai_two", "openai", "gpt-4o", "two", 2),
        one("claude", "anthropic", "claude-haiku-4-5", "claude", 3),
        one("router", "openrouter", "anthropic/claude-haiku-4.5", "router", 4),
        one("here", "ollama", "llama3.1:8b", None, 5),
    ]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "notebook"
    folder.mkdir()
    (folder / "red.png").write_bytes(picture())
    return folder


def test_every_provider_receives_what_its_documentation_says(upstream: Upstream, folder: Path, own_directories: Path):
    config = configured(folder, *providers(upstream))
    names = ["openai_one/gpt-4o-mini", "openai_two/gpt-4o", "claude/claude-haiku-4-5",
             "router/anthropic/claude-haiku-4.5", "here/llama3.1:8b"]  # fmt: skip
    cells = [f"%%sekha_chat -m {name} --no-stream --max-tokens 50 --temperature 0.5 -s 'Be brief.'\nHello {i}"
             for i, name in enumerate(names)]  # fmt: skip
    cells += [f"%%sekha_chat -m {name} -i red.png\nWhat is this?" for name in names]
    outputs = run(cells, folder, SEKHA_CONFIG=config)
    said = [seen for seen in upstream.requests if seen.method == "POST"]
    assert [seen.path for seen in said[:5]] == ["/v1/chat/completions", "/v1/chat/completions", "/v1/messages",
                                                "/api/v1/chat/completions", "/api/chat"]  # fmt: skip
    authorized = [seen.headers.get("authorization") or seen.headers.get("x-api-key") for seen in said[:4]]
    assert authorized == [f"Bearer {KEYS['one']}", f"Bearer {KEYS['two']}", KEYS["claude"], f"Bearer {KEYS['router']}"]
    assert not any(value in str(said[4].headers) for value in KEYS.values())
    system, user = {"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello 0"}
    one = said[0].body
    assert (one["model"], one["messages"], one["temperature"]) == ("gpt-4o-mini", [system, user], 0.5)
    assert 50 in (one.get("max_tokens"), one.get("max_completion_tokens"))
    claude = said[2].body
    assert claude["max_tokens"] == 50
    assert "Be brief." in json.dumps(claude["system"])
    assert claude["messages"] == [{"role": "user", "content": [{"type": "text", "text": "Hello 2"}]}]
    assert said[3].body["model"] == "anthropic/claude-haiku-4.5"
    here = said[4].body
    assert (here["model"], here["options"]["temperature"], here["options"]["num_predict"]) == ("llama3.1:8b", 0.5, 50)
    encoded = base64.b64encode(picture()).decode()
    for seen in (said[5], said[6], said[8]):
        assert seen.body["messages"][-1]["content"][-1]["image_url"]["url"] == f"data:image/png;base64,{encoded}"
    source = said[7].body["messages"][-1]["content"][-1]["source"]
    assert source == {"type": "base64", "media_type": "image/png", "data": encoded}
    assert said[9].body["messages"][-1]["images"] == [encoded]
    bills = [metadata(output) for output in outputs[:5]]
    assert [bill["cost_source"] for bill in bills] == ["computed", "unpriced", "unpriced", "reported", "free"]
    assert bills[0]["cost_usd"] == "0.000092"
    assert bills[3]["cost_usd"] == "0.00012345"
    for key in KEYS.values():
        assert key not in json.dumps(outputs)
        assert files_with(own_directories, key) == []


def test_a_hostile_prompt_reaches_the_model_byte_for_byte(upstream: Upstream, folder: Path):
    config = configured(folder, *providers(upstream)[:1])
    lines = ["%sekha_chat why is the sky blue?", 'x = %sekha_chat what is "{y}" $1?']
    run([f"%%sekha_chat --raw\n{HOSTILE}", *lines], folder, SEKHA_CONFIG=config)
    assert [seen.body["messages"][-1]["content"] for seen in upstream.of("openai")] == [
        HOSTILE,
        "why is the sky blue?",
        'what is "{y}" $1?',
    ]


def test_without_raw_only_doubled_braces_around_a_name_are_filled_in(upstream: Upstream, folder: Path):
    config = configured(folder, *providers(upstream)[:1])
    prompt = 'a {"a": 1} {x} $x %d {{ x }}'
    run(["x = 'filled'", f"%%sekha_chat\n{prompt}"], folder, SEKHA_CONFIG=config)
    assert upstream.of("openai")[0].body["messages"][-1]["content"] == 'a {"a": 1} {x} $x %d filled'


def test_a_provider_that_is_down_is_followed_by_the_next_and_no_key_is_in_the_error(
    upstream: Upstream, folder: Path, own_directories: Path
):
    config = configured(folder, *providers(upstream)[:2])
    upstream.script(Answer(status=401, message=f"Incorrect API key provided: {KEYS['one']}"), Answer(text="from two"))
    outputs = run(["%sekha_chat hello", "%sekha health", "%sekha log"], folder, SEKHA_CONFIG=config)
    assert metadata(outputs[0])["provider_id"] == "openai_two"
    assert KEYS["one"] not in json.dumps(outputs)
    assert files_with(own_directories, KEYS["one"]) == []
    upstream.default = Answer(status=500, message=f"bad {KEYS['two']}")
    outputs = run(["%sekha_chat hello", "import traceback, sys; traceback.print_exc()"], folder, allow_errors=True,
                  SEKHA_CONFIG=config)  # fmt: skip
    assert outputs[0][0].output_type == "error"
    assert outputs[0][0].ename == "AllProvidersFailed"
    assert len(outputs[0][0].traceback) < 15
    assert KEYS["two"] not in json.dumps(outputs)
    assert files_with(own_directories, KEYS["two"]) == []


def test_streaming_reads_events_and_gives_the_same_answer(upstream: Upstream, folder: Path):
    config = configured(folder, *providers(upstream))
    outputs = run(
        [
            "import sekha_magics as sekha; pieces = []",
            "r = sekha.get_registry().chat('tell me', on_token=pieces.append)",
            "(len(pieces) > 1, r.text == ''.join(pieces))",
            "[sekha.get_registry().chat('x', model=m, stream=True).usage.output_tokens "
            "for m in ('claude-haiku-4-5', 'anthropic/claude-haiku-4.5', 'llama3.1:8b')]",
        ],
        folder,
        SEKHA_CONFIG=config,
    )
    assert outputs[2][0].data["text/plain"] == "(True, True)"
    assert outputs[3][0].data["text/plain"] == "[7, 7, 7]"
    assert upstream.requests[0].body["stream_options"] == {"include_usage": True}


def test_embeddings_are_asked_for_in_each_providers_own_words(upstream: Upstream, folder: Path):
    def one(name: str, kind: Any, model: str, **more: Any) -> dict[str, Any]:
        return {"id": name, "type": kind, "base_url": upstream.url(kind), **more,
                "models": [{"model_id": model, "tasks": ["embedding"], "dimension": 8}]}  # fmt: skip

    upstream.default = Answer(dimension=8)
    config = configured(folder, one("a", "openai", "text-embedding-3-small", api_key=KEYS["one"]),
                        one("b", "ollama", "nomic-embed-text"))  # fmt: skip
    outputs = run(
        ["import sekha_magics as sekha; reg = sekha.get_registry()",
         "[reg.embed(['x', 'y'], model=m).vectors.shape for m in ('text-embedding-3-small', 'nomic-embed-text')]"],
        folder, SEKHA_CONFIG=config,
    )  # fmt: skip
    assert outputs[1][0].data["text/plain"] == "[(2, 8), (2, 8)]"
    assert upstream.of("openai")[0].body["input"] == ["x", "y"]
    assert upstream.of("ollama")[0].path == "/api/embed"


def test_an_image_may_be_a_path_bytes_a_picture_a_figure_or_an_array(upstream: Upstream, folder: Path):
    config = configured(folder, *providers(upstream)[:1])
    make = """
import numpy as np
from matplotlib.figure import Figure
from PIL import Image
raw = open("red.png", "rb").read()
picture = Image.open("red.png")
figure = Figure(figsize=(1, 1)); figure.subplots().plot([1, 2])
array = np.zeros((3, 4, 3), dtype=np.uint8)
"""
    names = ("red.png", "raw", "picture", "figure", "array")
    asked = [f"%sekha_chat -i {name} What is this?" for name in names]
    run([make, *asked, "%sekha_chat -i raw -i array Which is red?"], folder, SEKHA_CONFIG=config)
    contents = [seen.body["messages"][-1]["content"] for seen in upstream.of("openai")]
    sizes = []
    for content in contents:
        assert content[0] == {"type": "text", "text": "Which is red?" if len(content) == 3 else "What is this?"}
        for part in content[1:]:
            head, _, encoded = part["image_url"]["url"].partition(",")
            assert head == "data:image/png;base64"
            with Image.open(io.BytesIO(base64.b64decode(encoded))) as opened:
                sizes.append(opened.size)
    assert sizes[:3] == [(2, 2)] * 3
    assert sizes[4:] == [(4, 3), (2, 2), (4, 3)]
    assert min(sizes[3]) > 50


def test_each_limit_on_images_is_a_reason_with_its_figures(upstream: Upstream, folder: Path):
    strict = {**providers(upstream)[0], "id": "strict"}
    limits = {"max_images": 1, "max_image_size_mb": 0.0001, "supported_formats": ["jpg"]}
    strict["models"] = [{**strict["models"][0], "vision_capabilities": limits},
                        {"model_id": "blind", "tasks": ["chat_small"], "supports_vision": False}]  # fmt: skip
    config = configured(folder, strict)
    make = "from PIL import Image; import numpy as np; noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3))"
    outputs = run([make, "%sekha_chat -i noise -i red.png What?"], folder, allow_errors=True, SEKHA_CONFIG=config)
    (error,) = outputs[1]
    said = "\n".join(error["traceback"])
    for words in ("too_many_images (2 images, it takes 1)", "image_format (png is not among its formats)",
                  "image_too_large", "no_vision"):  # fmt: skip
        assert words in said
    assert upstream.requests == []


def test_a_reply_shows_itself_as_an_answer_without_the_magics(upstream: Upstream, folder: Path):
    config = configured(folder, *providers(upstream)[:1])
    ask = "import sekha_magics\nsekha_magics.get_registry().chat('hello')"
    outputs = run(["%unload_ext sekha_magics", ask], folder, SEKHA_CONFIG=config)
    assert set(outputs[1][0].data) == {"text/plain", "text/html", "application/vnd.sekha.chat.v1+json"}
