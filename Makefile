# A newcomer needs two commands: `make demo` and `make test`. Both set up what they need.
#
#   PYTHON          the interpreter that makes the environment (3.11 to 3.13)
#   VENV            where the environment lies
#   TORCH_INDEX_URL the package index of the torch build you want (see the install page on pytorch.org);
#                   empty: pip's own default, which on Linux is the CUDA build
PYTHON ?= python3
VENV ?= .venv
TORCH_INDEX_URL ?=
PIP = $(VENV)/bin/python -m pip --disable-pip-version-check
export PYTHONUNBUFFERED = 1

.PHONY: help setup demo test coverage lint docs benchmarks clean

help:
	@echo "make demo        set up, then train, evaluate and show SAGE on the shipped motion (about 9 minutes on 2 CPU cores)"
	@echo "make test        set up, then run the tests"
	@echo "make coverage    which lines the tests reach (about twice as long)"
	@echo "make lint        ruff, mypy, and a list of words to avoid"
	@echo "make docs        the documentation as a site, in build/site"
	@echo "make benchmarks  speed, stated as shares of this machine's own speed"
	@echo "make setup       only the environment, in $(VENV)"

setup: $(VENV)/.ready

$(VENV)/.ready: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if (3, 11) <= v < (3, 14) else \
	  "Python 3.11 to 3.13 is needed, found %d.%d. Give another one: make setup PYTHON=python3.12" % v)'
	$(PYTHON) -m venv $(VENV)
	$(PIP) install --quiet --constraint constraints.txt $(if $(TORCH_INDEX_URL),--index-url $(TORCH_INDEX_URL)) \
	  "$$(grep '^torch==' constraints.txt)"
	$(PIP) install --quiet --constraint constraints.txt --editable '.[train,dev]'
	@touch $@

demo: setup
	$(VENV)/bin/python prepare.py data=demo
	$(VENV)/bin/python train.py pipeline=sage experiment=sage_demo
	$(VENV)/bin/python evaluate.py model=sage_refiner experiment=sage_demo
	$(VENV)/bin/python predict.py task=sage_track task.beside=sage task.seconds=4 task.formats=[mp4] \
	  input=contrapposto/assets/motion/cmu_01_03.npz output=out/demo

test: setup
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -n auto --maxprocesses 4 --dist loadfile

coverage: setup
	mkdir -p build/coverage && rm -f build/coverage/data*
	-OMP_NUM_THREADS=1 $(VENV)/bin/python -m coverage run -m pytest -n auto --maxprocesses 4 --dist loadfile
	$(VENV)/bin/python -m coverage combine --quiet
	$(VENV)/bin/python -m coverage report --sort=cover --skip-covered

lint: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/python tools/words.py

docs: setup
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/mkdocs build --quiet
	@echo "open build/site/index.html"

benchmarks: setup
	$(VENV)/bin/python -m benchmarks

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
