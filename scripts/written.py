"""What a script measured, put where a document keeps it: between two comments, of which the first names the script."""

from pathlib import Path

_END = "<!-- until here -->\n"


def write_between(document: Path, script: str, text: str) -> None:
    """In place of what stood there. Raises ValueError where the document has no such place."""
    begin = f"<!-- written by {script} -->\n"
    head, found, rest = document.read_text(encoding="utf-8").partition(begin)
    _, ended, tail = rest.partition(_END)
    if not found or not ended:
        raise ValueError(f"{document} has no place for {script}: {begin.strip()} … {_END.strip()}")
    document.write_text(f"{head}{begin}\n{text.strip()}\n\n{_END}{tail}", encoding="utf-8")
