"""What a model is asked about a memory: summaries, how important it is, labels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ..errors import InvalidInput
from . import checks
from .asking import Asker
from .finding import Finding
from .periods import LEVELS

if TYPE_CHECKING:
    import pandas as pd

    from .judging import Score

__all__ = ["Consulting"]


class Consulting(Finding):
    """Every one spends, is logged like any other request, and stores nothing that did not come whole."""

    def summarize(self, conversation: str, level: str = "daily", *, fresh: bool = False, **wishes: Any) -> pd.DataFrame:
        """Have the conversation summarized by day, week or month (`daily`, `weekly`, `monthly`), and give `summaries`.

        At most 200, 500 and 1000 words, each level made from the one below. What was summarized before is asked about
        again only if it changed, or with `fresh`. `wishes` are those of `Registry.chat` (model, task, max_cost for it
        all, local_only, ...). `attrs` has `made` (how many now), `asked` and `cost_usd`. What is done is kept when the
        rest fails or is interrupted. Raises as `Registry.chat` does, and `UnusableAnswer`.
        """
        from .summaries import make

        checks.check_choice(level, "level", LEVELS)
        name, asker = checks.check_name(conversation, "conversation"), self._asking()
        checks.check_flag(fresh, "fresh")
        errand, made = make(self._archive, asker, self._redact, name, level, fresh=fresh, wishes=wishes)
        frame = self.summaries(name, level)
        frame.attrs.update(made=made, asked=errand.asked, cost_usd=errand.cost_usd)
        return frame

    def score(
        self, *, conversation: str | None = None, message: str | None = None, keep: bool = False, **wishes: Any
    ) -> Score:
        """Have a model say how important a conversation or a message is, from 1 to 10, and why.

        With `keep` it becomes its importance. `wishes` are as in `summarize`. Raises as that does.
        """
        from . import judging

        if (conversation is None) == (message is None):
            raise InvalidInput("Name a conversation or a message.", hint='score(conversation="plans")')
        checks.check_flag(keep, "keep")
        if message is not None:
            ident = checks.check_name(message, "message")
            name, pieces = judging.of_message(self._archive, ident)
        else:
            name = checks.check_name(conversation, "conversation")
            pieces = judging.of_conversation(self._archive, name)
        score = judging.score(self._asking(), name, pieces, wishes)
        if keep and message is not None:
            self.set_message(ident, importance=score.importance)
        elif keep:
            self.set_conversation(name, importance=score.importance)
        return score

    def suggest_labels(self, conversation: str, **wishes: Any) -> list[str]:
        """Have a model suggest one to five labels for a conversation, the best first; none is set.

        `wishes` are as in `summarize`. Raises as that does.
        """
        from . import judging

        name = checks.check_name(conversation, "conversation")
        return judging.labels(self._asking(), name, judging.of_conversation(self._archive, name), wishes)

    def _asking(self) -> Asker:
        if self._asker is None:
            raise InvalidInput("This memory was given no model to ask.", hint="Use that of a registry: reg.memory.")
        return self._asker
