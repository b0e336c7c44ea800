"""A notebook that uses everything that reports are made of, on made-up counts with hostile names."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import nbformat
from matplotlib.text import Annotation
from nbformat.v4 import new_code_cell, new_markdown_cell

HOSTILE = 'Pro <script>alert(1)</script> $x^2$ & "co"'


def sample() -> Any:
    """Return the sample notebook, not yet run, as if Papermill had given it a parameter."""
    node = nbformat.read(Path(__file__).with_name("sample.ipynb"), as_version=4)
    node.metadata["papermill"] = {
        "parameters": {"horizon": 30},
        "start_time": "2026-11-01T05:00:00.000000",
        "duration": 12.345,
    }
    return node


def notebook(*cells: str) -> Any:
    """Return a notebook of these cells; one that begins with "#" is Markdown."""
    made = [new_markdown_cell(cell) if cell.startswith("#") else new_code_cell(cell) for cell in cells]
    node = nbformat.v4.new_notebook(cells=made)
    node.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return node


def executed(node: Any) -> Any:
    """Run a notebook in a kernel of its own, up to the first error, and return it."""
    from nbclient import NotebookClient
    from nbclient.exceptions import CellExecutionError

    with suppress(CellExecutionError):
        NotebookClient(node, timeout=120, kernel_name="python3").execute()
    return nbformat.from_dict(node)


def assert_within_frame(figure: Any) -> None:
    """Every word of a figure lies within it, but for a few points that are cut away anyhow."""
    width, height = figure.canvas.get_width_height()
    renderer = figure.canvas.get_renderer()
    for text in [*figure.texts, *figure.findobj(Annotation)]:
        box = text.get_window_extent(renderer)
        assert box.x0 > -12, text.get_text()
        assert box.x1 < width + 12, text.get_text()
        assert box.y0 > -12, text.get_text()
        assert box.y1 < height + 12, text.get_text()
