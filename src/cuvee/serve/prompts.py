"""How many tokens a prompt has: exact with a tokenizer, else by bytes per token as the engine's counts teach it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cuvee.errors import InputError, MissingExtraError

if TYPE_CHECKING:
    from cuvee.serve.facts import Facts

BYTES_PER_TOKEN = 4.0
"""Of English text with a tokenizer of a current model, to begin with [bytes]."""

MEMORY = 200
"""Requests over which the estimate is averaged [-]."""

EXACT_BYTES = 200_000
"""Prompts that are longer together are estimated in any case: to count them would hold up everyone else [bytes]."""


class PromptLengths:
    """Prompt lengths of one model.

    Attributes
        bytes_per_token    Estimate [bytes]; the mean over the last requests, each by its length.
    """

    def __init__(self, tokenizer: str = "") -> None:
        self.tokenizer = load_tokenizer(tokenizer) if tokenizer else None
        self.bytes_per_token = BYTES_PER_TOKEN
        self._bytes = self._tokens = 0.0

    def tokens(self, facts: Facts) -> int:
        """Tokens of a prompt, of several their mean, 1 or more."""
        if facts.prompt_tokens:
            return facts.prompt_tokens
        if self.tokenizer is not None and facts.prompt_bytes * facts.prompts <= EXACT_BYTES:
            return max(counted(self.tokenizer, facts.text), 1)
        return max(round(facts.prompt_bytes / self.bytes_per_token), 1)

    def learn(self, prompt_bytes: int, tokens: int) -> None:
        """The engine counted `tokens` in a prompt of `prompt_bytes`."""
        keep = 1 - 1 / MEMORY
        self._bytes = self._bytes * keep + prompt_bytes
        self._tokens = self._tokens * keep + tokens
        self.bytes_per_token = min(max(self._bytes / self._tokens, 0.25), 32.0)


def counted(tokenizer: Any, prompt: Any) -> int:  # noqa: ANN401 the package is an extra, the prompt any JSON
    """Tokens of a prompt: of messages all their texts, of several prompts their mean."""
    texts, is_chat = texts_of(prompt)
    counts = [len(tokenizer.encode(each).ids) for each in texts]
    return sum(counts) if is_chat else sum(counts) // max(len(counts), 1)


def texts_of(text: Any) -> tuple[list[str], bool]:  # noqa: ANN401 a prompt as JSON has it
    """Texts of a prompt, and whether they are one chat."""
    if isinstance(text, str):
        return [text], False
    if not isinstance(text, list):
        return [], False
    if all(isinstance(each, str) for each in text):
        return text, False
    contents = [each.get("content") for each in text if isinstance(each, dict)]
    texts = [content for content in contents if isinstance(content, str)]
    for content in contents:
        parts = content if isinstance(content, list) else []
        texts += [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
    return texts, True


def load_tokenizer(path: str) -> Any:  # noqa: ANN401 the package is an extra
    """The tokenizer of a tokenizer.json.

    Raises      MissingExtraError: the package is not installed; InputError: not such a file.
    """
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingExtraError("an exact count of prompt tokens", "tokenizers") from None
    try:
        return Tokenizer.from_file(path)
    except Exception as error:  # noqa: BLE001 the package raises Exception itself
        raise InputError(
            f"{path}: {error}", expected="a tokenizer.json", remedy="leave tokenizer out to have prompts estimated"
        ) from None
