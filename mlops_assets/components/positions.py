"""YAML with line numbers: the documents of a file, and the line of any place in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Document:
    """One YAML document of a file.

    Attributes:
        data: The plain value.
        node: PyYAML's node tree of the same text, which knows the lines.
    """

    data: Any
    node: yaml.Node | None

    def line(self, place: Sequence[str | int]) -> int:
        """Return the 1-based line of a place such as `("attributes", "tables", "flights")`, or of its nearest parent."""
        node, line = self.node, 1
        for step in place:
            found = _child(node, step)
            if found is None:
                break
            line, node = found
        return line


def read_documents(path: Path) -> list[Document]:
    """Read every document of a YAML file.

    Raises:
        yaml.YAMLError: The text is not YAML; the error carries line and column.
    """
    loader = Loader(path.read_text())
    documents: list[Document] = []
    try:
        while loader.check_node():
            node = loader.get_node()
            documents.append(Document(data=loader.construct_document(node), node=node))
    finally:
        loader.dispose()
    return documents


def _child(node: yaml.Node | None, step: str | int) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return key.start_mark.line + 1, value
    if isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step].start_mark.line + 1, node.value[step]
    return None
