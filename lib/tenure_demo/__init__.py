"""The demo company: a simulated streaming service whose every law is known. The library does not know it."""

from tenure_demo.write import write_demo

__all__ = ["write_demo"]
