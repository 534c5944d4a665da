"""What an ingest has done so far, and how it is said: a line while it goes on, a table at its end."""

from collections import Counter

from orderstream.core.fix.book import Round

# Reasons quote values, so a bad log has as many as it has lines.
REASONS_MOST = 20


class Counts:
    """`kinds` are of whole messages, by what they are; `aside` by reason."""

    def __init__(self) -> None:
        self.messages = 0
        self.kinds: Counter[str] = Counter()
        self.passed_over: Counter[str] = Counter()
        self.aside: Counter[str] = Counter()
        self.orders = self.changes = self.executions = self.repeats = 0
        self.wrong_checksums = 0

    def add(self, written: Round) -> None:
        self.orders += len(written.new)
        self.changes += len(written.changed)
        self.executions += len(written.executions)

    def set_aside(self, reason: str) -> None:
        known = reason in self.aside or len(self.aside) < REASONS_MOST
        self.aside[reason if known else "for other reasons, which the file says"] += 1

    @property
    def total_aside(self) -> int:
        return self.aside.total()

    def line(self, took_s: float, share: float | None) -> str:
        """`120,000 messages · 6,100/s · 34 % · 30,000 orders · 12 set aside`"""
        parts = [f"{self.messages:,} messages", f"{self.messages / max(took_s, 1e-3):,.0f}/s"]
        if share is not None:
            parts.append(f"{share:.0%}")
        parts.append(f"{self.orders:,} orders")
        if self.total_aside:
            parts.append(f"{self.total_aside:,} set aside")
        return " · ".join(parts)

    def table(self, took_s: float, verdicts: Counter[str] | None) -> list[str]:
        """The lines of the closing table; `verdicts` are the checker's, None where there are none: nothing was written,
        or nobody numbers events."""
        rows: list[tuple[str, int]] = [("messages", self.messages)]
        rows += [(f"  {kind}", count) for kind, count in self.kinds.most_common()]
        rows += [(f"  passed over: {kind}", count) for kind, count in self.passed_over.most_common()]
        rows += [("  seen before", self.repeats)] if self.repeats else []
        rows += [("orders begun", self.orders), ("order changes", self.changes), ("executions", self.executions)]
        if verdicts is not None:
            rows.append(("events that the checker finds odd", verdicts.total()))
            rows += [(f"  {rule}", count) for rule, count in verdicts.most_common()]
        rows += [("wrong checksums, read all the same", self.wrong_checksums)] if self.wrong_checksums else []
        rows.append(("set aside", self.total_aside))
        rows += [(f"  {reason}", count) for reason, count in self.aside.most_common()]
        width = max(len(f"{count:,}") for _, count in rows)
        speed = f"{took_s:.1f} s, {self.messages / max(took_s, 1e-3):,.0f} messages/s"
        return [*(f"{count:>{width},}  {name}" for name, count in rows), f"{'':{width}}  in {speed}"]
