"""Loggers of a run: `metrics.csv` always; Weights & Biases beside it, offline unless the user asks for more."""

from loggers.build import build_loggers, finish_loggers
from loggers.csv_log import CSVRunLogger

__all__ = ["CSVRunLogger", "build_loggers", "finish_loggers"]
