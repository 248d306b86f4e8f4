"""What is asked, and how, in the dialects. Temperature 0: every reader gets the same answer."""

from processes import LLAMA_MODEL

# Long enough to be a stream, short enough to be quick.
SHORT = "Tell a short story about a river."
TOKENS = 48
# The model does not come to an end by itself within the context.
LONG = "Write a very long story about a river, chapter by chapter."
LONG_TOKENS = 1500


def user(prompt: str) -> list[dict]:
    return [{"role": "user", "content": prompt}]


def native(prompt: str = SHORT, tokens: int = TOKENS, **more: object) -> dict:
    """A body for `POST /api/chat`."""
    return {"messages": user(prompt), "temperature": 0, "maxTokens": tokens, **more}


def openai(prompt: str = SHORT, tokens: int = TOKENS, **more: object) -> dict:
    """A body for `POST /v1/chat/completions`."""
    fixed = {"model": LLAMA_MODEL, "temperature": 0, "max_tokens": tokens}
    return {"messages": user(prompt), **fixed, **more}


STREAMED = {"stream": True, "stream_options": {"include_usage": True}}
