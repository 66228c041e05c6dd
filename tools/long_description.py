"""The README as the page of the package in a registry.

``setup.py`` runs this file, so that it imports nothing of this project.
"""

from __future__ import annotations

import re

_INSIDE = r"(?!https?:|#)"
"""Pattern for links to files of the repository: neither an address nor a section of the page."""


def make_long_description(readme: str, repository: str) -> str:
    """Give links and pictures of the README the address of the repository, and drop its comments.

    Args:
        readme: Text of the README.
        repository: Address of the public repository. While it is empty, links to files become their text, and the
            picture is left out.

    Returns:
        The text, in which every link leads somewhere outside of the repository.
    """
    readme = re.sub(r"^<!--.*?-->\n+", "", readme, flags=re.MULTILINE)
    readme = re.sub(r"<!--.*?-->", "", readme)
    if not repository:
        readme = re.sub(r"<picture>.*?</picture>\n*", "", readme, flags=re.DOTALL)
        return re.sub(rf"\[([^\[\]]*)\]\({_INSIDE}[^()]*\)", r"\1", readme)
    readme = re.sub(rf"\]\({_INSIDE}", f"]({repository}/blob/main/", readme)
    return re.sub(rf'\b(src|srcset)="{_INSIDE}', rf'\1="{repository}/raw/main/', readme)
