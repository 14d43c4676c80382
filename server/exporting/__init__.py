"""Decisions of the kept journal with their rewards, as Parquet."""

INSTALL = "pip install 'banditd[export]'"
"""How to get pyarrow, which writes Parquet and reads it."""
