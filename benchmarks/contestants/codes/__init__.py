"""The contestants of the suite `codes`, with one module per library."""
