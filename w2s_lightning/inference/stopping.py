"""Where a text ends: stop strings are looked for in decoded text, so they may span tokens in any way."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

_HALF_CHARACTER = 4  # a UTF-8 character may begin up to three byte tokens before the tail that is decoded


class Stops:
    """The stop strings of a tokenizer's texts."""

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stop: Sequence[str]) -> None:
        self._tokenizer = tokenizer
        self._stop = tuple(stop)
        longest = max((len(text.encode()) for text in stop), default=0)
        self._tail = longest + _HALF_CHARACTER  # a token is at least one byte

    def text(self, tokens: Sequence[int]) -> str:
        """The tokens decoded, without special ones."""
        return self._decoded([list(tokens)])[0]

    def reached(self, rows: Sequence[Sequence[int]]) -> list[bool]:
        """Whether each row's newest tokens complete a stop string, judged by as many last tokens as can matter."""
        if not self._stop or not rows:
            return [False] * len(rows)
        tails = self._decoded([list(row[-self._tail :]) for row in rows])
        return [any(stop in tail for stop in self._stop) for tail in tails]

    def cut(self, tokens: Sequence[int]) -> tuple[str, int] | None:
        """The text before the first stop string and how many tokens lie wholly before it; None without one."""
        text = self.text(tokens)
        found = [place for stop in self._stop if (place := text.find(stop)) >= 0]
        if not found:
            return None
        kept = len(tokens)
        while kept and len(self.text(tokens[:kept])) > min(found):
            kept -= 1
        return text[: min(found)], kept

    def _decoded(self, rows: list[list[int]]) -> list[str]:
        return self._tokenizer.decode(rows, skip_special_tokens=True, clean_up_tokenization_spaces=False)
