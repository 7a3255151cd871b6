"""LiteLLM as the wire to Ollama, OpenAI, Anthropic, OpenRouter and the rest: one file for each step of a request.

Importing this package imports none of it; `provider` holds the classes.
"""
