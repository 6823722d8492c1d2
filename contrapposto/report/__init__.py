"""Reports: one self-contained HTML page of an evaluation, or of many runs side by side.

python -m contrapposto.report runs/ [output=report.html]     compare all runs below a folder
python -m contrapposto.report runs/MODEL/TIME/evaluation/DATA-test     the page of one evaluation
"""

from contrapposto.report.comparison import write_comparison
from contrapposto.report.evaluation import write_report

__all__ = ["write_comparison", "write_report"]
