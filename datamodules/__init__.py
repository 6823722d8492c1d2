"""LightningDataModules over the stores that prepare.py writes; one stem per system."""
