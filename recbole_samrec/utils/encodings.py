"""Names of text encodings."""

from __future__ import annotations


def is_text_encoding(name: str) -> bool:
    """Return True if Python can read text in an encoding; codecs such as ``zip`` are not text encodings."""
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        return False
    return True
