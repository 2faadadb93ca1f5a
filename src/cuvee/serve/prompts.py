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
"""Prompts longer than this are estimated in any case: to count them would hold up everyone else [bytes]."""


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
        """Tokens of a prompt, 1 or more."""
        if facts.prompt_tokens:
            return facts.prompt_tokens
        if self.tokenizer is not None and type(facts.text) is str and facts.prompt_bytes <= EXACT_BYTES:
            return max(len(self.tokenizer.encode(facts.text).ids), 1)
        return max(round(facts.prompt_bytes / self.bytes_per_token), 1)

    def learn(self, prompt_bytes: int, tokens: int) -> None:
        """The engine counted `tokens` in a prompt of `prompt_bytes`."""
        keep = 1 - 1 / MEMORY
        self._bytes = self._bytes * keep + prompt_bytes
        self._tokens = self._tokens * keep + tokens
        self.bytes_per_token = min(max(self._bytes / self._tokens, 0.25), 32.0)


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
