"""maj@n and pass@n: how good a vote of samples is, and an oracle's pick, expected over all subsets of n samples.

In closed form over subsets, without drawing any, so that the order of the samples decides nothing. n = 1 is the
accuracy of the samples themselves.
"""

from collections import Counter
from collections.abc import Sequence
from math import comb


def powers_of_two(most: int) -> tuple[int, ...]:
    """1, 2, 4, ... and `most` itself at the end."""
    return (*(2**k for k in range(most.bit_length()) if 2**k < most), most)


def pass_of(right: Sequence[bool], n: int) -> float:
    """Probability that any of n of a question's samples `right` [K] is right (arXiv 2107.03374, eq. 1).

    No way to pick one of them can surpass it.
    """
    left, wrong = len(right), len(right) - sum(map(bool, right))
    assert 1 <= n <= left, f"pass@{n} needs {n} samples, got {left}"
    return (comb(left, n) - comb(wrong, n)) / comb(left, n)


def majority_of(answers: Sequence[str | None], right: Sequence[bool], n: int) -> float:
    """Probability that the vote of n of a question's K samples is right (self-consistency, arXiv 2203.11171).

    Answers that tie share the credit, which is what giving it to the first of them comes to over all orders. No answer
    (None) is counted like any other, and is never right; an answer is right when a sample that ends in it is.
    """
    votes = Counter(answers)
    assert len(answers) == len(right), (len(answers), len(right))
    assert 1 <= n <= len(answers), f"a vote of {n} needs {n} samples, got {len(answers)}"
    winners = {answer for answer, good in zip(answers, right, strict=True) if good and answer is not None}
    return sum(_elected([votes[one], *(votes - Counter({one: votes[one]})).values()], n) for one in sorted(winners))


def _elected(counts: Sequence[int], n: int) -> float:
    """Probability that the first of the answers with these counts wins a vote of n, ties being shared."""
    total = comb(sum(counts), n)
    return sum(
        comb(counts[0], own) * weight / (1 + ties) / total
        for own in range(1, min(counts[0], n) + 1)
        for ties, weight in _rivals(counts[1:], own, n - own)
    )


def _rivals(counts: Sequence[int], most: int, drawn: int) -> list[tuple[int, int]]:
    """In how many ways `drawn` votes fall on the others, none of them over `most`, by how many have just that many."""
    ways: Counter[tuple[int, int]] = Counter({(0, 0): 1})  # by votes so far and ties so far
    for count in counts:
        grown: Counter[tuple[int, int]] = Counter()
        for (votes, ties), number in ways.items():
            for own in range(min(count, most, drawn - votes) + 1):
                grown[votes + own, ties + (own == most)] += number * comb(count, own)
        ways = grown
    return [(ties, number) for (votes, ties), number in ways.items() if votes == drawn]
