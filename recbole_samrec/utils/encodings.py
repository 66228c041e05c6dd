"""Names of text encodings."""

from __future__ import annotations


def is_text_encoding(name: str) -> bool:
    """Return True if Python can read text in an encoding; it also has codecs such as ``zip`` that are none."""
    try:
        "a".encode(name)
    except (LookupError, ValueError):
        return False
    return True
