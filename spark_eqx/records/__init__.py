"""Records of parameters: frozen, checked by field, written as JSON, and pytrees whose leaves are JAX arrays.

They know nothing of modules, payloads or time. `spark_eqx.core` exports what you need to write a config.
"""
