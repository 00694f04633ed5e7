"""Kinds of parameters: what is taken, how it is stored, and how it becomes plain data."""

from ._base import Kind as Kind, is_of_jax as is_of_jax
from .arrays import ArrayOf as ArrayOf, anything as anything, number as number
from .constants import (
    Choice as Choice,
    constant as constant,
    dtype_like as dtype_like,
    flag as flag,
    integer as integer,
    integers as integers,
    text as text,
    zero_one as zero_one,
)
from .objects import (
    Either as Either,
    Instance as Instance,
    Many as Many,
    Optional as Optional,
    Record as Record,
    Subclass as Subclass,
)
