"""Small parts of sentences."""

from __future__ import annotations

import pytest

from include.overview.wording import count, listed, recipe_of, sentence_of


@pytest.mark.parametrize(
    ("note", "sentence"),
    [
        (None, ""),
        ("", ""),
        ("skipped: no new labels", "No new labels"),
        ("SKIPPED: no new labels", "No new labels"),
        ("**HELD**: not sure", "Not sure"),
        ("a note of ada\n\nstopped: it\nfailed", "It failed"),
        ("stopped: it failed\n\nada looks at it", "It failed"),
        ("FAILED in `package`: it does not fit\n\nNote by op: with a new window", "It does not fit"),
        ("REJECTED 2026-05-03: nothing published. 9 rows\n\nNote by op: again", "Nothing published. 9 rows"),
        ("HELD v7: frozen by ada since 2026-05-02 10:00 UTC", "Frozen by ada since 2026-05-02 10:00 UTC"),
        ("MARKED failed: a person set the state of this run.", "A person set the state of this run."),
        ("2026-05-03: rejected, nothing published.", "2026-05-03: rejected, nothing published."),
    ],
)
def test_the_sentence_of_a_note(note: str | None, sentence: str) -> None:
    assert sentence_of(note) == sentence


def test_lists_and_counts() -> None:
    assert [listed(list("abcdef")[:n]) for n in (0, 1, 2, 3, 6)] == [
        "",
        "a",
        "a and b",
        "a, b and c",
        "a, b, c, d and 2 more",
    ]
    assert [count(n, "day") for n in (0, 1, 1200)] == ["0 days", "1 day", "1,200 days"]


def test_a_recipe_in_words() -> None:
    assert recipe_of({"candidate": "boosting", "window_days": "all"}) == "boosting on all days"
    assert recipe_of({}) is None
