"""What streams of real and broken servers are read as."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cuvee.profile.measure.answers import Answer, EventReader, StreamError

DONE = b"data: [DONE]\n\n"


def event(**content):
    return b"data: " + json.dumps(content).encode() + b"\n\n"


def piece(text=" a", finish=None):
    return event(choices=[{"text": text, "finish_reason": finish}])


def said(content, finish=None):
    return event(choices=[{"delta": content, "finish_reason": finish}])


def usage(prompt, output, **more):
    return event(choices=[], usage={"prompt_tokens": prompt, "completion_tokens": output, **more})


def read(*parts, asked=3):
    """The answer of a stream whose parts come a second apart."""
    answer = Answer(0, 10, asked, started_s=0.0)
    reader = EventReader(answer)
    for number, part in enumerate(parts):
        reader.feed(part, number + 1.0)
    reader.close(len(parts) + 1.0)
    return answer


def test_a_completion():
    """First token at 1 s, last at 3 s: 1 s a token after the first."""
    answer = read(piece(), piece(), piece(finish="length"), usage(12, 3), DONE)
    assert (answer.ttft_s, answer.end_to_end_s, answer.tpot_s) == (1.0, 3.0, 1.0)
    assert (answer.input_tokens, answer.output_tokens, answer.counted, answer.is_short) == (12, 3, True, False)


def test_whole_numbers_may_be_written_as_floats():
    """12.0 is 12 to JSON, and was taken as a usage that says nothing."""
    answer = read(
        piece(), piece(), piece(finish="length"), usage(12.0, 3.0, prompt_tokens_details={"cached_tokens": 4.0})
    )
    assert (answer.input_tokens, answer.output_tokens, answer.cached_tokens, answer.counted) == (12, 3, 4, True)
    assert not answer.impossible
    assert all(isinstance(each, int) for each in (answer.input_tokens, answer.output_tokens, answer.cached_tokens))


def test_a_chat_begins_with_its_role():
    """The role comes before there is a token; thinking is tokens too."""
    answer = read(
        said({"role": "assistant", "content": ""}), said({"reasoning_content": "hm"}), said({"content": "a"}),
        said({}, "length"), usage(12, 2), DONE, asked=2,
    )  # fmt: skip
    assert list(answer.token_s) == [2.0, 3.0]


def test_half_characters_are_tokens():
    """A completion's token without text is one all the same."""
    assert list(read(piece(""), piece("ä", "length"), usage(9, 2), asked=2).token_s) == [1.0, 2.0]


def test_several_tokens_in_a_piece():
    """The time of a token is over tokens, not over pieces: 2 s for 4 tokens after the first."""
    assert read(piece(), piece("abcd"), piece("", "length"), usage(9, 5), asked=5).tpot_s == 0.25


def test_without_usage():
    """An answer that reached what was asked for has that length; one that stopped has none that is known."""
    assert read(piece(), piece(), piece(finish="length"), DONE).output_tokens == 3
    with pytest.raises(StreamError, match="no usage"):
        read(piece(), piece(finish="stop"), DONE)


@pytest.mark.parametrize("stated", [10**400, 10**30, 1e30])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_lengths_beyond_belief_are_a_failure(stated, place):
    """Of prompt, answer or cache. Tempting: to take them, and fail on the mean over the answers."""
    lengths = [9, 3, 0]
    lengths[place] = stated
    with pytest.raises(StreamError, match="malformed usage"):
        read(piece(finish="length"), usage(*lengths[:2], prompt_tokens_details={"cached_tokens": lengths[2]}), DONE)


@pytest.mark.parametrize("stated", [-5, math.nan, math.inf, -math.inf, "x", [3]])
def test_lengths_that_cannot_be_count_as_missing(stated):
    """The lengths asked for stand, and what was stated is kept for a note."""
    answer = read(piece(), piece(finish="length"), usage(stated, stated), DONE)
    assert (answer.input_tokens, answer.output_tokens, answer.counted) == (10, 3, False)
    assert "completion_tokens" in answer.impossible


def test_short_and_cached():
    """Fewer tokens than asked for are short; what a cache had is counted."""
    answer = read(piece(), piece(finish="stop"), usage(100, 2, prompt_tokens_details={"cached_tokens": 64}), DONE)
    assert answer.is_short
    assert answer.cached_tokens == 64


@pytest.mark.parametrize(
    ("parts", "kind"),
    [
        ([piece(), b"<html>\n"], "malformed stream"),
        ([piece(), b"data: {broken\n\n"], "malformed stream"),
        ([b"data: 7\n\n"], "malformed stream"),
        ([piece(), event(error={"message": "out of memory"})], "error in the stream"),
        ([piece(), piece()], "connection lost"),
        ([], "connection lost"),
        ([DONE], "empty answer"),
        ([b"x" * 5_000_000], "malformed stream"),
    ],
)
def test_what_is_no_answer(parts, kind):
    """Each broken stream is told by its kind."""
    with pytest.raises(StreamError, match=kind):
        read(*parts)


@given(st.lists(st.integers(1, 40), max_size=60), st.booleans())
def test_chunks_fall_anywhere(cuts, spaced):
    """However the network cuts a stream, the same answer comes of it; comments and other fields are passed over."""
    middle = json.dumps({"choices": [{"text": "a", "finish_reason": None}]}, separators=None if spaced else (",", ":"))
    stream = b": ping\r\n\r\nevent: x\n" + piece() + 5 * f"data:{middle}\r\n\r\n".encode() + piece(finish="length")
    stream += usage(9, 7) + DONE
    answer, reader, place = Answer(0, 9, 7, 0.0), None, 0
    reader = EventReader(answer)
    for cut in cuts:
        reader.feed(stream[place : place + cut], 1.0)
        place += cut
    reader.feed(stream[place:], 2.0)
    reader.close(3.0)
    assert (len(answer.token_s), answer.output_tokens, answer.ended_s) == (7, 7, 3.0)


def test_times_of_pieces_take_eight_bytes():
    """A run of an hour holds millions of them: a list of floats takes four times as much."""
    answer = read(piece(), piece(), piece(finish="length"), usage(12, 3), DONE)
    assert memoryview(answer.token_s).nbytes == 8 * 3
