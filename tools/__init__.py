"""Scripts for the checkout: what `make lint` runs beside ruff and mypy."""
