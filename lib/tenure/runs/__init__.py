"""Running the collection: what to run, running it side by side, and publishing it as a whole."""

from __future__ import annotations
