from __future__ import annotations

from harness.results.formatting import opening, shortened


def test_a_cut_is_between_words_and_says_what_it_took() -> None:
    assert shortened("one two three", 9) == "one two … 6 characters left out"
    assert shortened("x" * 100, 10) == "x" * 10 + " … 90 characters left out"
    assert shortened("one two three four", 12, 4) == "one two … 7 characters left out … four"
    assert shortened("one two", 7) == "one two"


def test_an_opening_has_whole_sentences_and_counts_the_rest() -> None:
    text = "One is 1.5. Two is wrong! Three. Four."
    assert opening(text, 26) == "One is 1.5. Two is wrong! (And 2 more sentences.)"
    assert opening(text, 3) == "One is 1.5. (And 3 more sentences.)"
    assert opening(text, 100) == text
