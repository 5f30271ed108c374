//! Delta tables: Parquet files, atomic commits, exactly-once marks.
