"""What is on disk and how it is read: Parquet results, failures, SQL views, and the index in `strobe.db`."""
