"""Paths that are passed on to replicas, and those that the gateway answers itself."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Endpoint:
    """A path that is passed on.

    Attributes
        name       For logs and metrics.
        answers    Whether it makes text, whose length is worth foretelling.
    """

    name: str
    answers: bool = False


POST_PATHS = {
    b"/v1/completions": Endpoint("completions", answers=True),
    b"/v1/chat/completions": Endpoint("chat", answers=True),
    b"/v1/responses": Endpoint("responses", answers=True),
    b"/v1/embeddings": Endpoint("embeddings"),
    b"/v1/score": Endpoint("score"),
    b"/v1/rerank": Endpoint("rerank"),
    b"/score": Endpoint("score"),
    b"/rerank": Endpoint("rerank"),
    b"/pooling": Endpoint("pooling"),
    b"/classify": Endpoint("classify"),
    b"/tokenize": Endpoint("tokenize"),
    b"/detokenize": Endpoint("detokenize"),
}
"""Paths of requests that name a model and are passed on."""

GET_PATHS = frozenset({b"/v1/models", b"/health"})
"""Paths that the gateway answers itself."""
