"""The contestants. Each library has one module, which only the worker process in that library's environment imports."""
