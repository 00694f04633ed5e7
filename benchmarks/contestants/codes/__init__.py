"""Who takes part in the suite `codes`. One module a library, as above."""
