"""The console's SQL: each query is within an area, and pages go on after the last row that was shown."""
