"""Prompts of a wanted length."""

import numpy as np
import pytest

from cuvee.profile.measure.prompts import Prompts, whole_lengths


def made_by(prompts, number, tokens):
    return prompts.make(number, tokens)


def test_token_ids():
    """Exactly as many as asked for, inside the vocabulary, and another beginning for each number."""
    prompts = Prompts("tokens", 5, vocabulary=512)
    made = [made_by(prompts, number, 300) for number in range(50)]
    assert {len(each) for each in made} == {300}
    assert 0 < min(map(min, made)) <= max(map(max, made)) < 512
    assert len({tuple(each[:3]) for each in made}) == 50
    assert made[7] == Prompts("tokens", 5, vocabulary=512).make(7, 300)
    assert made[7] != Prompts("tokens", 6, vocabulary=512).make(7, 300)


def test_what_the_server_adds_is_left_out():
    """A server that puts one token before ids gets one less."""
    assert len(Prompts("tokens", 5, added_tokens=1).make(0, 300)) == 299


@pytest.mark.parametrize(("tokens_per_word", "added"), [(1.0, 0), (1.7, 12), (0.4, 3)])
def test_words_are_corrected(tokens_per_word, added):
    """The server's counts bring a text to its length, whatever its tokenizer makes of a word."""
    prompts = Prompts("text", 5, added_tokens=added)
    for number in range(5):
        text = made_by(prompts, number, 1000)
        counted = round(len(text.split()) * tokens_per_word) + added
        prompts.learn(text, counted)
    assert counted == pytest.approx(1000, rel=0.01)


def test_whole_lengths_keep_the_mean():
    """2.25 tokens are 2 three times in four; below one token there is nothing."""
    random = np.random.default_rng(1)
    drawn = [whole_lengths(2.25, random) for _ in range(4000)]
    assert set(drawn) == {2, 3}
    assert np.mean(drawn) == pytest.approx(2.25, abs=0.03)
    assert whole_lengths(0.5, random) == 1
