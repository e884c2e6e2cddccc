"""vlsbench: evaluate, audit, build and align for cross-modal safety."""

__version__ = "0.1.0"
