"""Prompts of a wanted length without a tokenizer: token ids, or words whose length the server's counts correct."""

from collections.abc import Mapping
from typing import Any

import numpy as np

WORDS = (
    "time", "year", "people", "way", "day", "man", "thing", "woman", "life", "child", "world", "school", "state",
    "family", "student", "group", "country", "problem", "hand", "part", "place", "case", "week", "company", "system",
    "program", "question", "work", "number", "night", "point", "home", "water", "room", "mother", "area", "money",
    "story", "fact", "month", "lot", "right", "study", "book", "eye", "job", "word", "business", "issue", "side",
    "kind", "head", "house", "service", "friend", "father", "power", "hour", "game", "line", "end", "member", "law",
    "car", "city", "name", "team", "minute", "idea", "body", "back", "parent", "face", "level", "office", "door",
)  # fmt: skip
"""Words that byte-pair vocabularies of any size have as one token or few."""

SPECIAL_IDS = 1000
"""Ids below it may be control tokens, in vocabularies that are large enough to do without [-]."""

SMALL_VOCABULARY = 4000
USUAL_VOCABULARY = 32_000
"""Entries of the vocabulary where nobody knows better [-]: most have more."""


class Prompts:
    """Makes prompts that share no beginning, so that a prefix cache is of no help.

    Parameters
        kind             "tokens" or "text".
        vocabulary       Entries of the model's vocabulary [-]; None where not known.
        seed             Of the contents. A seed and a number make one prompt, and no other run uses that seed.
        tokens_per_word, added_tokens    Length of a text of n words: added + per word * n [tokens].
    """

    def __init__(
        self,
        kind: str,
        seed: int,
        *,
        vocabulary: int | None = None,
        tokens_per_word: float = 1.0,
        added_tokens: float = 0.0,
    ) -> None:
        self.kind = kind
        self.tokens_per_word = tokens_per_word
        self.added_tokens = added_tokens
        self.seed = seed
        self.vocabulary = vocabulary
        size = vocabulary or USUAL_VOCABULARY
        low = SPECIAL_IDS if size > SMALL_VOCABULARY else size // 10
        self._ids = (low, max(size * 9 // 10, low + 1))
        self._words = self._tokens = 0.0

    def make(self, number: int, tokens: int) -> list[int] | str:
        """Prompt `number` of about `tokens` [tokens]; of token ids exactly that, but for what the server adds."""
        content = np.random.default_rng((self.seed, number))
        count = max(1, round(tokens - self.added_tokens))
        if self.kind == "tokens":
            ids: list[int] = content.integers(*self._ids, count).tolist()
            return ids
        words = max(1, round(count / self.tokens_per_word))
        return " ".join(WORDS[index] for index in content.integers(0, len(WORDS), words).tolist())

    def learn(self, prompt: list[int] | str, counted_tokens: int) -> None:
        """Correct the length of a word by what the server counted of one prompt [tokens]."""
        if isinstance(prompt, str):
            self._words += prompt.count(" ") + 1
            self._tokens += counted_tokens - self.added_tokens
            self.tokens_per_word = max(self._tokens / self._words, 0.01)

    def known(self) -> dict[str, Any]:
        """What was learned, for a record."""
        return {
            "kind": self.kind,
            "tokens_per_word": self.tokens_per_word,
            "added_tokens": self.added_tokens,
        }

    @staticmethod
    def of(known: Mapping[str, Any], seed: int, vocabulary: int | None) -> "Prompts":
        """Prompts as a record left them."""
        return Prompts(**known, seed=seed, vocabulary=vocabulary)


def whole_lengths(mean_tokens: float, random: np.random.Generator) -> int:
    """Whole length [tokens], at least 1, that has the mean `mean_tokens`: the two nearest, in proportion."""
    low = int(mean_tokens)
    return max(1, low + int(random.random() < mean_tokens - low))
