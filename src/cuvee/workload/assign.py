"""Which type a request belongs to, and how well types stand for their requests."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cuvee.errors import InputError
from cuvee.workload.edges import locate
from cuvee.workload.records import Demand, Trace


@dataclass(frozen=True)
class ClassificationError:
    """Spread of requests about the mean of their type; 0 when all requests of a type are alike.

    Attributes
        input_relative_rms     RMS of prompt length minus that of the type, over the mean prompt length [-].
        output_relative_rms    The same for answer length [-].
    """

    input_relative_rms: float
    output_relative_rms: float

    @property
    def relative_rms(self) -> float:
        """Both together [-]; never larger with more types chosen from the same trace."""
        return math.hypot(self.input_relative_rms, self.output_relative_rms)


def assign_types(
    demand: Demand, input_tokens: NDArray[np.int64], output_tokens: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Index of the type of each request.

    Parameters
        demand                         Types.
        input_tokens, output_tokens    Lengths [tokens], >= 1, shape (num_requests,).
    Returns      index into `demand.types`, same shape: the type whose box holds the lengths, else the type
                 whose mean lengths are nearest by ratio (Euclidean in log lengths, the first of equals).
    Raises       InputError: lengths below 1, or two shapes.
    """
    input_tokens, output_tokens = np.asarray(input_tokens), np.asarray(output_tokens)
    if input_tokens.ndim != 1 or input_tokens.shape != output_tokens.shape:
        raise InputError(
            f"lengths of shapes {input_tokens.shape} and {output_tokens.shape}",
            expected="two arrays of one length",
        )
    if input_tokens.size and not min(input_tokens.min(), output_tokens.min()) >= 1:
        raise InputError("a request without tokens", expected="1 prompt token and 1 answer token or more")
    index = locate([kind.box for kind in demand.types], input_tokens, output_tokens)
    outside = index < 0
    if outside.any():
        index[outside] = _nearest(demand, np.log(input_tokens[outside]), np.log(output_tokens[outside]))
    return index


def classification_error(trace: Trace, demand: Demand) -> ClassificationError:
    """How far the requests of a trace are from the types that stand for them.

    Parameters
        trace     Requests.
        demand    Types, of this trace or of another.
    Notes         sqrt(mean((length - mean length of its type)^2)) / mean length, per axis. Prefill work grows
                  with the prompt and decode work with the answer, so it bounds what a plan can gain from
                  more types.
    """
    index = assign_types(demand, trace.input_tokens, trace.output_tokens)
    errors = []
    for label in ("input_tokens", "output_tokens"):
        length = getattr(trace, label)
        stand_in = np.array([getattr(kind, label) for kind in demand.types])[index]
        errors.append(float(np.sqrt(np.mean((length - stand_in) ** 2)) / np.mean(length)))
    return ClassificationError(*errors)


def _nearest(demand: Demand, log_input: NDArray[np.float64], log_output: NDArray[np.float64]) -> NDArray[np.int64]:
    """Type with the nearest means; one type at a time, so that memory stays that of the requests."""
    nearest = np.zeros(log_input.shape, dtype=np.int64)
    shortest = np.full(log_input.shape, np.inf)
    for index, kind in enumerate(demand.types):
        distance = (log_input - math.log(kind.input_tokens)) ** 2
        distance += (log_output - math.log(kind.output_tokens)) ** 2
        nearest[distance < shortest] = index
        shortest = np.minimum(shortest, distance)
    return nearest
