"""Records of parameters: frozen pytrees whose leaves are JAX arrays, with checks of each field and a form as JSON.

Records do not depend on modules, payloads or time. `spark_eqx.core` exports the names that you need to write a config.
"""
