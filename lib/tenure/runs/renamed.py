"""What parameters, findings and notebooks used to be called, so that an old runbook hears the new name."""

from __future__ import annotations

# Old name: new name; for what is gone, where it stands now. docs/changes.md lists them.
NOTEBOOKS: dict[str, str] = {}
PARAMETERS: dict[str, str] = {}
FINDINGS: dict[str, str] = {}
