"""Hubs: an ontology whose every page links to one name, which a page takes only later."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

NAME = "Common Ground"
PATH = f"pages/{NAME}.md"


@dataclass(frozen=True, slots=True)
class Hub:
    """How many pages link to the name."""

    size: int

    def pages(self) -> Iterator[tuple[str, bytes]]:
        """Give the pages that link to the name."""
        for index in range(self.size):
            yield (
                f"pages/Spoke {index}.md",
                f"- ### OntologyBlock\n\t- owl:class:: mv:Spoke{index}\n\t- preferred-term:: Spoke {index}\n"
                f"\t- is-subclass-of:: [[{NAME}]]\n\t- #### Relationships\n".encode(),
            )

    @staticmethod
    def taker() -> tuple[str, bytes]:
        """Give the page that takes the name, and is about another class than the one minted of it."""
        text = "- ### OntologyBlock\n\t- owl:class:: ai:SharedFloor\n\t- definition:: What all stand on.\n"
        return PATH, text.encode()
