"""Decisions of the kept journal with their rewards, as Parquet."""
