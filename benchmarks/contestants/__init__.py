"""Who takes part. One module a library, imported only in the worker process of that library's environment."""
