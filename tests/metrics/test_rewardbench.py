"""RewardBench's aggregation against 21 published models, and its intervals."""

import json
from pathlib import Path

import numpy as np
import pytest

from w2s_lightning.errors import UserError
from w2s_lightning.metrics import sections as scoring
from w2s_lightning.metrics.intervals import Interval
from w2s_lightning.metrics.sections import PRIOR_SETS, SECTIONS, judge, missing, overall, section_scores, wins

PUBLISHED = Path(__file__).resolve().parents[3] / "shared" / "data" / "rewardbench_published.json"
QUICK = 400  # resamples


@pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"published figures are absent: {PUBLISHED}")
def test_published_sections_and_overall_scores_come_out() -> None:
    data = json.loads(PUBLISHED.read_text())
    assert len(data["rows"]) == 21
    for row in data["rows"]:
        sections = section_scores(row["subset_accuracy"])
        assert sections == pytest.approx(row["published_sections"], abs=data["tolerance"]), row["model"]
        if row["prior_sets"] is not None:
            sections[PRIOR_SETS] = row["prior_sets"]
        assert overall(sections) == pytest.approx(row["published_overall"], abs=data["overall_tolerance"]), row["model"]


def test_weights_are_the_published_ones() -> None:
    assert [len(names) for names in SECTIONS.values()] == [5, 6, 5, 7, 4]
    assert SECTIONS["Reasoning"]["math-prm"] == 984 == sum(SECTIONS["Reasoning"].values()) - 984
    assert SECTIONS["Safety"]["xstest-should-refuse"] == 154  # swapped with should-respond before September 2024
    assert list(scoring.SECTION_WEIGHTS) == list(SECTIONS)
    assert sum(scoring.SECTION_WEIGHTS.values()) == 9


def test_a_tie_is_a_loss() -> None:
    assert wins([1.0, 2.0, 3.0], [0.0, 2.0, 4.0]).tolist() == [1.0, 0.0, 0.0]
    assert wins([np.inf, -np.inf], [1.0, -np.inf]).tolist() == [1.0, 0.0]


def test_a_reward_that_is_no_number_names_its_row() -> None:
    with pytest.raises(UserError, match="row 2: the rejected score is no number"):
        wins([1.0, 2.0], [0.0, np.nan])
    with pytest.raises(UserError, match=r"rows\.jsonl:7: the chosen score is no number \(NaN\), in 2 of 3 rows"):
        wins([1.0, np.nan, 2.0], [0.0, 1.0, np.nan], ["rows.jsonl:5", "rows.jsonl:7", "rows.jsonl:8"])
    with pytest.raises(ValueError, match="expected rewards"):
        wins([1.0], [0.0, 1.0])


@pytest.mark.parametrize(
    ("there", "sections", "score", "lost"),
    [
        (
            {"llmbar-natural": 0.5, "llmbar-adver-GPTOut": 1.0, "donotanswer": 0.25, "my-own": 0.0},
            {"Chat Hard": (0.5 * 100 + 1.0 * 47) / 147, "Safety": 0.25},
            ((0.5 * 100 + 1.0 * 47) / 147 + 0.25) / 2,
            (["Chat", "Reasoning", PRIOR_SETS], {"Chat Hard": 4, "Safety": 4}),
        ),
        (  # prior sets: an unweighted mean, of half the weight
            {"anthropic_helpful": 0.6, "shp": 0.8, "alpacaeval-easy": 1.0},
            {"Chat": 1.0, PRIOR_SETS: 0.7},
            (2 * 1.0 + 0.7) / 3,
            (["Chat Hard", "Safety", "Reasoning"], {"Chat": 4, PRIOR_SETS: 2}),
        ),
        (dict.fromkeys(scoring.WEIGHED, 0.5), dict.fromkeys(SECTIONS, 0.5), 0.5, ([], {})),
    ],
)
def test_scores_are_means_over_what_is_there_and_the_rest_is_named(
    there: dict[str, float], sections: dict[str, float], score: float, lost: tuple[list[str], dict[str, int]]
) -> None:
    assert section_scores(there) == pytest.approx(sections)
    assert overall(section_scores(there)) == pytest.approx(score)
    found = missing(list(there))
    assert (found.sections, {name: len(gone) for name, gone in found.subsets.items()}) == lost


def test_no_section_is_no_score() -> None:
    with pytest.raises(UserError, match="no section at all"):
        overall(section_scores({"my-own": 1.0}))
    with pytest.raises(UserError, match="no section 'chat'"):
        overall({"chat": 1.0})
    with pytest.raises(UserError, match="accuracy of subset shp is no number"):
        section_scores({"shp": float("nan")})


def rows(generator: np.random.Generator) -> tuple[np.ndarray, list[str], list[str]]:
    """Wins, subsets and prompts: two subsets share their prompts, one stands in no section."""
    sizes = {"alpacaeval-easy": 60, "alpacaeval-hard": 60, "donotanswer": 80, "llmbar-natural": 40, "my-own": 30}
    rates = {"alpacaeval-easy": 0.9, "alpacaeval-hard": 0.8, "donotanswer": 0.4, "llmbar-natural": 0.5, "my-own": 0.1}
    subsets = [name for name, size in sizes.items() for _ in range(size)]
    prompts = [f"{name.split('-')[0]} {n}" for name, size in sizes.items() for n in range(size)]
    won = np.array([generator.random() < rates[name] for name in subsets], dtype=float)
    return won, subsets, prompts


def test_values_with_intervals_equal_the_plain_ones() -> None:
    won, subsets, prompts = rows(np.random.default_rng(0))
    found = judge(won, subsets, prompts, resamples=QUICK)
    plain = scoring.subset_accuracy(won, subsets)
    assert {name: part.value for name, part in {**found.subsets, **found.others}.items()} == pytest.approx(plain)
    assert {name: part.value for name, part in found.sections.items()} == pytest.approx(section_scores(plain))
    assert found.overall.value == pytest.approx(overall(section_scores(plain)))
    assert list(found.others) == ["my-own"]
    assert found.missing == missing(subsets)
    assert found.sections["Chat"].n == 120
    assert found.overall.n == 240
    for part in (*found.subsets.values(), *found.sections.values(), found.overall):
        assert part.low < part.value < part.high


def test_an_interval_is_as_wide_as_repeated_draws_of_the_data_say() -> None:
    worlds = [rows(np.random.default_rng(seed)) for seed in range(300)]
    values = [section_scores(scoring.subset_accuracy(won, subsets))["Chat"] for won, subsets, _ in worlds]
    found = judge(*worlds[0], resamples=QUICK).sections["Chat"]
    assert found.half_width == pytest.approx(1.96 * np.std(values), rel=0.25)


def test_a_single_prompt_says_nothing_about_others() -> None:
    found = judge([1.0, 0.0], ["shp", "shp"], ["p", "p"])
    assert found.sections[PRIOR_SETS] == Interval(value=0.5, low=0.0, high=1.0, n=2) == found.overall


def test_only_unknown_subsets_give_no_overall_score() -> None:
    found = judge([1.0, 0.0, 1.0], ["mine", "mine", "yours"], ["a", "b", "c"])
    assert (found.overall, found.sections) == (None, {})
    assert {name: part.value for name, part in found.others.items()} == {"mine": 0.5, "yours": 1.0}


def test_a_subset_that_a_resample_misses_is_left_out_with_its_weight() -> None:
    found = judge([1.0] * 5 + [0.0], ["shp"] * 5 + ["summarize"], list("abcdef"), 400).sections[PRIOR_SETS]
    assert (found.value, found.high) == (0.5, 1.0)


def test_sections_of_several_models_are_compared_on_the_same_resamples() -> None:
    won, subsets, prompts = rows(np.random.default_rng(0))
    better = np.maximum(won, np.arange(len(won)) % 3 == 0)
    chat = next(part for part in scoring.parts_of(subsets) if part.name == "Chat")
    scored = chat.scores({"one": won, "two": better}, prompts, QUICK)
    gap = scored.difference("two", "one")
    assert gap.value == pytest.approx(scored.interval("two").value - scored.interval("one").value)
    assert gap.half_width < scored.interval("one").half_width
    alone = judge(won[chat.rows], np.array(subsets)[chat.rows].tolist(), np.array(prompts)[chat.rows], resamples=QUICK)
    assert alone.overall == scored.interval("one")


def test_sections_of_several_seeds_cross_seeds_and_prompts() -> None:
    won, subsets, prompts = rows(np.random.default_rng(0))
    chat = next(part for part in scoring.parts_of(subsets) if part.name == "Chat")
    seeds = np.stack([won, np.roll(won, 1)])
    scored = chat.scores({"one": seeds}, prompts)
    assert scored.interval("one") == chat.intervals({"one": seeds}, prompts)["one"]
    by_hand = [section_scores(scoring.subset_accuracy(one, subsets))["Chat"] for one in seeds]
    assert scored.interval("one").value == pytest.approx(np.mean(by_hand))


def test_length_bias_is_the_win_rate_by_the_longer_answer() -> None:
    won = [1.0, 0.0, 0.0, 1.0, 1.0, 1.0]
    found = scoring.length_bias(won, [1, 2, 3, 4, 9, 9], [2, 3, 4, 4, 1, 1], list("abcdef"))
    expected = {"shorter": (pytest.approx(1 / 3), 3), "equal": (1.0, 1), "longer": (1.0, 2)}
    assert {name: (part.value, part.n) for name, part in found.items()} == expected
    assert scoring.length_bias([1.0, 0.0], [1, 2], [5, 6], ["a", "b"])["longer"] is None
