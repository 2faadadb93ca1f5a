"""Which prompts begin alike: the numbers of the blocks they consist of, as Mooncake's `hash_ids` tell them."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]

USUAL_BLOCK_TOKENS: Final = 512
"""Tokens of a block in the traces of Mooncake [tokens]."""

BLOCK_SIZES: Final = (USUAL_BLOCK_TOKENS, *(2**power for power in range(4, 14) if 2**power != USUAL_BLOCK_TOKENS))
"""Sizes that are tried, the usual one first [tokens]."""


@dataclass(frozen=True, eq=False)
class Prefixes:
    """Blocks of the prompts of some requests: the same number in two prompts means the same tokens up to its end.

    Attributes
        ids             Numbers of the blocks, request after request [-], shape (num_blocks,), 0 or more.
        first           Where each request's begin, and at the end their number, shape (num_requests + 1,).
        block_tokens    Tokens of a block [tokens]; the last one of a prompt may have fewer.
    """

    ids: Ints
    first: Ints
    block_tokens: int = USUAL_BLOCK_TOKENS

    @property
    def num_requests(self) -> int:
        """Requests, also those without blocks [-]."""
        return len(self.first) - 1

    def at(self, tokens: int) -> Ints:
        """Number of the block in which each prompt reaches so many `tokens`, of shorter ones the last; -1 of none."""
        place = np.minimum(-(-tokens // self.block_tokens), np.diff(self.first)) - 1
        numbers: Ints = np.where(place >= 0, np.append(self.ids, -1)[self.first[:-1] + place], -1)
        return numbers

    def of(self, requests: Ints) -> "Prefixes":
        """Those of some requests, by their indices and in that order."""
        counts = np.diff(self.first)[requests]
        first = np.concatenate([[0], np.cumsum(counts)])
        places = np.arange(first[-1]) + np.repeat(self.first[:-1][requests] - first[:-1], counts)
        return Prefixes(self.ids[places], first, self.block_tokens)

    @staticmethod
    def joined(counts: Ints, ids: Ints, prompts: Ints) -> "Prefixes | None":
        """Blocks of prompts of some lengths [tokens]; None where no one size of blocks explains their numbers."""
        known = counts > 0
        for size in BLOCK_SIZES:
            if (-(-prompts[known] // size) == counts[known]).all():
                return Prefixes(ids, np.concatenate([[0], np.cumsum(counts)]), size)
        return None
