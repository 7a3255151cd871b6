"""Why a candidate may not answer: a code for programs, and a sentence for people."""

from __future__ import annotations

__all__ = ["Reason"]


class Reason(str):
    """A reason code (`wrong_task`, `no_key`, ...) which also carries `detail`, a sentence for people."""

    __slots__ = ("detail",)
    detail: str

    def __new__(cls, code: str, detail: str = "") -> Reason:
        self = super().__new__(cls, code)
        self.detail = detail
        return self

    def __reduce__(self) -> tuple[type[Reason], tuple[str, str]]:
        return (Reason, (str(self), self.detail))
