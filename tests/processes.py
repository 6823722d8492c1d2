"""How many processes the tests of several processes start; `PROCESSES=4 pytest -k two_processes` takes four."""

import os

DDP = ("trainer=ddp_cpu", f"trainer.devices={os.environ.get('PROCESSES', '2')}")
