"""The shape of a tiny Llama model and its vocabulary, which the project makes itself."""

from dataclasses import dataclass

SPECIAL_TOKENS = ("<s>", "</s>", "<pad>")
WORDS = (
    "the", "of", "and", "to", "in", "is", "that", "for", "it", "as", "was", "with", "be", "by", "on", "not", "he",
    "his", "but", "at", "are", "this", "have", "from", "or", "had", "an", "they", "which", "one", "you", "were",
    "all", "her", "she", "there", "would", "their", "we", "him", "been", "has", "when", "who", "will", "no",
    "more", "if", "out", "so", "up", "said", "what", "its", "about", "than", "into", "them", "can", "only",
    "other", "time", "new", "some", "could", "these", "two", "may", "first", "then", "do", "any", "like", "my",
    "now", "over", "such", "our", "man", "me", "even", "most", "made", "after", "also", "well", "did", "many",
    "before", "must", "years", "back", "through", "much", "where", "your", "down", "should", "because", "long",
    "each", "just", "state", "people", "those", "too", "how", "little",
)  # fmt: skip
"""Words that get a token of their own."""

SPACE = "Ġ"
CHAT_TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"


@dataclass(frozen=True)
class ModelShape:
    """A Llama model in miniature.

    Attributes
        hidden, intermediate    Widths of a layer and of its feed-forward [-].
        heads, kv_heads         Attention heads, and those that hold cache [-].
        context                 Longest request [tokens].
    """

    hidden: int
    layers: int
    heads: int
    kv_heads: int
    intermediate: int
    context: int = 4096

    @property
    def head_size(self) -> int:
        """Width of one attention head [-]."""
        return self.hidden // self.heads


NARROW = ModelShape(hidden=128, layers=2, heads=4, kv_heads=2, intermediate=256)
"""A step takes well below a millisecond of one core."""


def byte_symbols() -> list[str]:
    """One printable character for each byte, as byte-level BPE writes them."""
    printable = {*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)}
    others = [byte for byte in range(256) if byte not in printable]
    return [chr(byte) if byte in printable else chr(256 + others.index(byte)) for byte in range(256)]


def vocabulary() -> tuple[list[str], list[str]]:
    """Tokens by id, and the merges that make them: special ones, bytes, then words letter by letter."""
    tokens = [*SPECIAL_TOKENS, *byte_symbols()]
    merges: list[str] = []
    for word in WORDS:
        left = SPACE
        for letter in word:
            joined = left + letter
            if joined not in tokens:
                tokens.append(joined)
                merges.append(f"{left} {letter}")
            left = joined
    return tokens, merges
