"""What the four providers answer, in their own words: JSON bodies, server-sent events and lines of JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from .answers import Answer, Frame, Kind, Outcome, Seen, Tokens, as_json, last_user_text, pieces, vector

MODELS: dict[Kind, tuple[str, ...]] = {
    "openai": ("gpt-4o-mini", "text-embedding-3-small"),
    "openrouter": ("anthropic/claude-haiku-4.5", "openai/gpt-4o-mini"),
    "anthropic": ("claude-haiku-4-5", "claude-sonnet-4-5"),
    "ollama": ("llama3.1:8b", "nomic-embed-text:latest"),
}


def kind_of(path: str, headers: Mapping[str, str]) -> Kind | None:
    """Which provider a request is for, by path and headers alone, as the real hosts would have it."""
    if path.startswith("/api/v1/"):
        return "openrouter"
    if path.startswith("/api/"):
        return "ollama"
    if path.startswith("/v1/messages") or (path == "/v1/models" and "anthropic-version" in headers):
        return "anthropic"
    return "openai" if path.startswith("/v1/") else None


def answer_to(seen: Seen, answer: Answer, keys: Mapping[Kind, frozenset[str]]) -> Outcome:
    """The whole answer of a well-behaved provider; the server does the misbehaving while it sends it."""
    if seen.kind is None:
        return as_json({"error": f"no such path {seen.path}"}, 404)
    if (refused := _key_refused(seen, keys)) is not None:
        return refused
    if answer.body is not None:
        return Outcome(answer.status, body=answer.body)
    if answer.status != 200:
        return error(seen.kind, answer.status, answer.code, answer.message)
    route = ROUTES.get((seen.method, seen.path))
    return route(seen, answer) if route else error(seen.kind, 404, "not_found_error", f"no such path {seen.path}")


def error(kind: Kind, status: int, code: str, message: str) -> Outcome:
    return as_json(_error_body(kind, status, code, message), status)


def _error_body(kind: Kind, status: int, code: str, message: str) -> dict[str, Any]:
    match kind:
        case "openai":
            type_ = {401: "invalid_request_error", 429: code}.get(status, "invalid_request_error")
            return {"error": {"message": message, "type": type_, "param": None, "code": code}}
        case "openrouter":
            return {"error": {"message": message, "code": status, "metadata": {"error_type": code}}}
        case "anthropic":
            return {"type": "error", "error": {"type": code, "message": message}, "request_id": "req_0001"}
        case "ollama":
            return {"error": message}


def _key_refused(seen: Seen, keys: Mapping[Kind, frozenset[str]]) -> Outcome | None:
    kind, accepted = seen.kind, keys.get(seen.kind) if seen.kind else None
    if kind == "anthropic":
        if not seen.headers.get("anthropic-version"):
            return error(kind, 400, "invalid_request_error", "anthropic-version: header is required")
        given = seen.headers.get("x-api-key", "")
    else:
        given = seen.headers.get("authorization", "").removeprefix("Bearer ")
    if (
        kind is None
        or (accepted is None and (given or kind == "ollama"))
        or (accepted is not None and given in accepted)
    ):
        return None
    code = {"openai": "invalid_api_key", "anthropic": "authentication_error"}.get(kind, "unauthorized")
    return error(kind, 401, code, f"Incorrect API key provided: {given}")


# --- OpenAI and OpenRouter -----------------------------------------------------------------------


def _sse(value: Any, *, event: str | None = None, piece: bool = False) -> Frame:
    head = f"event: {event}\n" if event else ""
    return Frame(f"{head}data: {json.dumps(value, ensure_ascii=False)}\n\n".encode(), piece)


def _openai_usage(kind: Kind, tokens: Tokens, cost: str | None) -> dict[str, Any]:
    usage: dict[str, Any] = {
        "prompt_tokens": tokens.input,
        "completion_tokens": tokens.output,
        "total_tokens": tokens.input + tokens.output,
        "prompt_tokens_details": {"cached_tokens": tokens.cached, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": tokens.reasoning, "audio_tokens": 0},
    }
    if kind == "openrouter":
        usage["prompt_tokens_details"]["cache_write_tokens"] = tokens.cache_write
        if cost is not None:
            # Ten times the cost itself: whoever adds the upstream's share to it is found out.
            usage |= {"cost": float(cost), "cost_details": {"upstream_inference_cost": float(cost) * 10}}
    return usage


def _openai_chat(seen: Seen, answer: Answer) -> Outcome:
    body, kind = seen.body, seen.kind or "openai"
    text = last_user_text(body["messages"]) if answer.text is None else answer.text
    head = {"id": "chatcmpl-1", "created": 1764000000, "model": answer.model or body["model"]}
    if kind == "openrouter":
        head["provider"] = "Somebody"
    usage = _openai_usage(kind, answer.usage, answer.cost) if answer.usage else None
    if not body.get("stream"):
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if answer.thinking:
            message["reasoning"] = answer.thinking
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": answer.finish}
        whole = {**head, "object": "chat.completion", "choices": [choice]}
        return as_json(whole | ({"usage": usage} if usage else {}))

    def chunk(delta: dict[str, Any], finish: str | None = None, *, piece: bool = False) -> Frame:
        choices = [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        return _sse({**head, "object": "chat.completion.chunk", "choices": choices}, piece=piece)

    frames = [chunk({"role": "assistant", "content": ""})]
    if kind == "openrouter":
        frames.insert(0, Frame(b": OPENROUTER PROCESSING\n\n"))
    frames += [chunk({"reasoning": t}) for t in pieces(answer.thinking, answer.piece)]
    frames += [chunk({"content": t}, piece=True) for t in pieces(text, answer.piece)]
    if answer.finish:
        frames.append(chunk({}, answer.finish))
    wants = (body.get("stream_options") or {}).get("include_usage") or (body.get("usage") or {}).get("include")
    if usage and wants:
        frames.append(_sse({**head, "object": "chat.completion.chunk", "choices": [], "usage": usage}))
    if answer.end:
        frames.append(Frame(b"data: [DONE]\n\n"))
    return Outcome(content_type="text/event-stream; charset=utf-8", frames=tuple(frames))


def _openai_embeddings(seen: Seen, answer: Answer) -> Outcome:
    body, kind = seen.body, seen.kind or "openai"
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    size = body.get("dimensions") or answer.dimension
    rows = [{"object": "embedding", "index": i, "embedding": vector(t, size)} for i, t in enumerate(texts)]
    reply: dict[str, Any] = {"object": "list", "data": rows, "model": answer.model or body["model"]}
    if answer.usage:
        usage = {"prompt_tokens": answer.usage.input, "total_tokens": answer.usage.input}
        if kind == "openrouter" and answer.cost is not None:
            usage["cost"] = float(answer.cost)
        reply["usage"] = usage
    return as_json(reply)


def _openai_models(seen: Seen, answer: Answer) -> Outcome:
    kind = seen.kind or "openai"
    return as_json({"object": "list", "data": [{"id": m, "object": "model", "owned_by": kind} for m in MODELS[kind]]})


# --- Anthropic -----------------------------------------------------------------------------------

ANTHROPIC_STOP = {"stop": "end_turn", "length": "max_tokens", "content_filter": "refusal"}


def _anthropic_usage(tokens: Tokens) -> dict[str, int]:
    return {
        "input_tokens": tokens.input - tokens.cached - tokens.cache_write,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cached,
        "output_tokens": tokens.output,
    }


def _anthropic_messages(seen: Seen, answer: Answer) -> Outcome:
    body = seen.body
    if "max_tokens" not in body:
        return error("anthropic", 400, "invalid_request_error", "max_tokens: Field required")
    text = last_user_text(body["messages"]) if answer.text is None else answer.text
    stop = ANTHROPIC_STOP.get(answer.finish, answer.finish) if answer.finish else None
    usage = _anthropic_usage(answer.usage) if answer.usage else {"input_tokens": 0, "output_tokens": 0}
    head = {"id": "msg_1", "type": "message", "role": "assistant", "model": answer.model or body["model"]}
    thought = [{"type": "thinking", "thinking": answer.thinking, "signature": "c2ln"}] if answer.thinking else []
    if not body.get("stream"):
        content = [*thought, {"type": "text", "text": text}]
        return as_json({**head, "content": content, "stop_reason": stop, "stop_sequence": None, "usage": usage})

    def event(type_: str, *, piece: bool = False, **fields: Any) -> Frame:
        return _sse({"type": type_, **fields}, event=type_, piece=piece)

    # At the start Anthropic has counted one token.
    begun = {"output_tokens": 1} if answer.usage else {}
    opening = {
        **head,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage | begun,
    }
    frames = [event("message_start", message=opening)]
    if answer.thinking:
        frames.append(event("content_block_start", index=0, content_block={"type": "thinking", "thinking": ""}))
        for t in pieces(answer.thinking, answer.piece):
            frames.append(event("content_block_delta", index=0, delta={"type": "thinking_delta", "thinking": t}))
        frames.append(event("content_block_delta", index=0, delta={"type": "signature_delta", "signature": "c2ln"}))
        frames.append(event("content_block_stop", index=0))
    block = len(thought)
    frames.append(event("content_block_start", index=block, content_block={"type": "text", "text": ""}))
    frames.append(event("ping"))
    for t in pieces(text, answer.piece):
        frames.append(event("content_block_delta", index=block, delta={"type": "text_delta", "text": t}, piece=True))
    frames.append(event("content_block_stop", index=block))
    if stop:
        delta = {"stop_reason": stop, "stop_sequence": None}
        frames.append(event("message_delta", delta=delta, usage={"output_tokens": usage["output_tokens"]}))
    if answer.end:
        frames.append(event("message_stop"))
    return Outcome(content_type="text/event-stream; charset=utf-8", frames=tuple(frames))


def _anthropic_models(seen: Seen, answer: Answer) -> Outcome:
    data = [{"type": "model", "id": m, "display_name": m} for m in MODELS["anthropic"]]
    return as_json({"data": data, "has_more": False, "first_id": data[0]["id"], "last_id": data[-1]["id"]})


# --- Ollama --------------------------------------------------------------------------------------


def _ollama_chat(seen: Seen, answer: Answer) -> Outcome:
    body = seen.body
    text = last_user_text(body["messages"]) if answer.text is None else answer.text
    head = {"model": answer.model or body["model"], "created_at": "2026-11-23T06:00:00.000000Z"}
    last: dict[str, Any] = {"done": True, "total_duration": 5000000, "load_duration": 1000000}
    if answer.finish:
        last["done_reason"] = answer.finish
    if answer.usage:
        last |= {"prompt_eval_count": answer.usage.input, "prompt_eval_duration": 10, "eval_count": answer.usage.output}
    if body.get("stream") is False:
        message = {"role": "assistant", "content": text}
        if answer.thinking:
            message["thinking"] = answer.thinking
        return as_json({**head, "message": message, **last})

    def line(message: dict[str, str], more: dict[str, Any], *, piece: bool = False) -> Frame:
        value = {**head, "message": {"role": "assistant", "content": "", **message}, **more}
        return Frame(json.dumps(value, ensure_ascii=False).encode() + b"\n", piece)

    frames = [line({"thinking": t}, {"done": False}) for t in pieces(answer.thinking, answer.piece)]
    frames += [line({"content": t}, {"done": False}, piece=True) for t in pieces(text, answer.piece)]
    if answer.finish:
        frames.append(line({}, last))
    return Outcome(content_type="application/x-ndjson", frames=tuple(frames))


def _ollama_embed(seen: Seen, answer: Answer) -> Outcome:
    body = seen.body
    texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
    size = body.get("dimensions") or answer.dimension
    reply = {"model": answer.model or body["model"], "embeddings": [vector(t, size) for t in texts]}
    if answer.usage:
        reply["prompt_eval_count"] = answer.usage.input
    return as_json(reply)


def _ollama_tags(seen: Seen, answer: Answer) -> Outcome:
    details = {"format": "gguf", "family": "llama", "parameter_size": "8.0B", "quantization_level": "Q4_K_M"}
    models = [{"name": m, "model": m, "size": 4661224676, "details": details} for m in MODELS["ollama"]]
    return as_json({"models": models})


ROUTES: dict[tuple[str, str], Callable[[Seen, Answer], Outcome]] = {
    ("POST", "/v1/chat/completions"): _openai_chat,
    ("POST", "/v1/embeddings"): _openai_embeddings,
    ("GET", "/v1/models"): lambda seen, answer: (
        _anthropic_models(seen, answer) if seen.kind == "anthropic" else _openai_models(seen, answer)
    ),
    ("POST", "/api/v1/chat/completions"): _openai_chat,
    ("POST", "/api/v1/embeddings"): _openai_embeddings,
    ("GET", "/api/v1/models"): _openai_models,
    ("POST", "/v1/messages"): _anthropic_messages,
    ("POST", "/api/chat"): _ollama_chat,
    ("POST", "/api/embed"): _ollama_embed,
    ("GET", "/api/tags"): _ollama_tags,
}


def stream_error(kind: Kind, code: str) -> Frame:
    """How each provider says inside a stream, after its 200, that it failed."""
    body = _error_body(kind, 500, code, f"the stream failed: {code}")
    match kind:
        case "ollama":
            return Frame(json.dumps(body).encode() + b"\n")
        case "anthropic":
            return _sse(body, event="error")
        case "openrouter":
            choices = [{"index": 0, "delta": {"content": ""}, "finish_reason": "error"}]
            return _sse({"id": "1", "created": 1, "model": "m", "choices": choices, **body})
        case "openai":
            return _sse(body)
