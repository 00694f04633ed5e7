"""Payloads: arrays with a meaning: a real-valued signal, spikes in steps, or the times of spikes."""

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import DTypeLike
from jaxtyping import Array, Bool, Float, Int, PyTree, Shaped, jaxtyped

from ..records.fields import shown
from ..records.masked import NAN, without_mask


def _checked(function: Callable) -> Callable:
    """`beartype.beartype`, imported with the first payload: it takes longer to import than this package."""

    @functools.cache
    def checking():
        from beartype import beartype

        return beartype(function)

    return functools.wraps(function)(lambda *args, **kwargs: checking()(*args, **kwargs))


# NumPy arrays become JAX arrays, as in any function of `jax.numpy`; structs describe a payload without data.
_ArrayLike = Array | np.ndarray | jax.ShapeDtypeStruct

# At run time these are `Any`, because an annotation checker would raise first, with an error without a remedy.
if TYPE_CHECKING:
    _Times: TypeAlias = Float[_ArrayLike, "*units count"]
    _Mask: TypeAlias = Bool[_ArrayLike, "*units count"]
else:
    _Times = _Mask = Any


def _to_jax(payload: "SparkPayload", name: str, array: Any, fill: str = "0") -> Any:
    array = without_mask(type(payload).__name__, name, array, fill)
    if not isinstance(array, np.ndarray):
        return array
    if not array.dtype.isnative:
        raise TypeError(
            f"{type(payload).__name__}: `{name}` must be in the byte order of this machine, got dtype {array.dtype}. "
            f"Convert it first: `x.astype(numpy.{array.dtype.name})`."
        )
    return jnp.asarray(array)


class SparkPayload(eqx.Module):
    """Base class of the data that modules exchange. Abstract: see [`FloatArray`][], [`SpikeArray`][] and
    [`SpikeTimes`][].

    A subclass is a frozen pytree of arrays of one shape. Operations on payloads map over the leaves, never over
    `value`, so no field can be lost: `payload[10:20]` and iteration apply to all arrays together, and give payloads.
    `jax.numpy.asarray` and NumPy's reductions, such as `numpy.mean`, use the array `value`. Arithmetic, comparisons
    other than `==`, and the methods of arrays raise an error; use `payload.value`. `==` compares whole payloads.
    """

    value: eqx.AbstractVar[Shaped[Array, "*shape"]]

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape that all arrays of the payload share."""
        # `value` may be computed, which structs do not allow.
        return jax.tree.leaves(self)[0].shape

    @property
    def dtype(self) -> np.dtype:
        """The dtype of the first array of the payload: of the signal, or of the spikes."""
        return np.dtype(jax.tree.leaves(self)[0].dtype)

    @classmethod
    def example(cls, shape: tuple[int, ...], dtype: DTypeLike) -> "SparkPayload":
        """A payload of `jax.ShapeDtypeStruct`s, with every array that the type requires.

        An array whose annotation does not admit `dtype` has a dtype that it admits.
        """
        name, arguments = np.dtype(dtype).name, {}
        for each in inspect.signature(cls).parameters.values():
            admitted = getattr(each.annotation, "dtypes", ())
            refused = isinstance(admitted, tuple) and admitted and name not in admitted
            usual = ("float32", "int32", "bool", *admitted) if refused else ()
            if each.default is each.empty:
                chosen = next((each for each in usual if each in admitted), dtype)
                arguments[each.name] = chosen
        return jax.eval_shape(lambda: cls(**{name: jnp.zeros(shape, each) for name, each in arguments.items()}))

    def __getitem__(self, index: Any) -> Any:
        for each in index if isinstance(index, tuple) else (index,):
            if isinstance(each, SparkPayload):
                text = f"{type(self).__name__}: an index must be an array, got {each!r}. Write `[index.value]`."
                raise TypeError(text)
        return jax.tree.map(lambda leaf: leaf[index], self)

    def __len__(self) -> int:
        return len(jax.tree.leaves(self)[0])

    def __iter__(self) -> Iterator[Any]:
        leaves, structure = jax.tree.flatten(self)
        return (jax.tree.unflatten(structure, each) for each in zip(*leaves, strict=True))

    def __bool__(self) -> bool:
        # Without this method Python would use `__len__`, and a payload of no steps would be false.
        return True

    def __array__(self, dtype: np.dtype | None = None, copy: bool | None = None) -> np.ndarray:
        return self.value.__array__(dtype, copy=copy)

    def __jax_array__(self) -> Array:
        return self.value

    def __array_ufunc__(self, ufunc: np.ufunc, method: str, *inputs, **kwargs) -> Any:
        """Reductions such as `numpy.sum` are functions of `value`; NumPy's elementwise functions are refused."""
        if method != "reduce" or "out" in kwargs:
            raise _undefined(self, f"numpy.{ufunc.__name__}")
        array = lambda each: np.asarray(each) if isinstance(each, SparkPayload) else each
        return ufunc.reduce(*map(array, inputs), **{name: array(each) for name, each in kwargs.items()})

    def __setitem__(self, index, value) -> NoReturn:
        raise TypeError(
            f"{type(self).__name__}: a payload cannot be changed in place. Change its arrays, as in "
            "`array.at[index].set(value)`, and make a new payload of them."
        )

    # With this method, a type checker would accept any attribute.
    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            arrays = (np.ndarray, jax.Array)
            if name == "block_until_ready":
                remedy = "`jax.block_until_ready(payload)`"
            elif not name.startswith("_") and any(hasattr(each, name) for each in arrays):
                called = any(inspect.isroutine(getattr(each, name, None)) for each in arrays)
                remedy = f"`.value.{name}{'()' if called else ''}`"
            else:
                return object.__getattribute__(self, name)  # raises; if a property failed, its own error again
            text = f"{type(self).__name__}: a payload has no `{name}`. Write {remedy}."
            raise AttributeError(text, name=name, obj=self)


def _undefined(payload: SparkPayload, operation: str) -> TypeError:
    return TypeError(
        f"{type(payload).__name__}: `{operation}` is not defined for a payload. Write it with the array, `.value`, or "
        "change all arrays of the payload by `jax.tree.map`."
    )


def _refuse(name: str, operation: str) -> None:
    def refused(self, *others):
        del others
        raise _undefined(self, operation)

    setattr(SparkPayload, f"__{name}__", refused)


_BINARY = {"add": "+", "sub": "-", "mul": "*", "matmul": "@", "truediv": "/", "floordiv": "//", "mod": "%", "pow": "**"}
_BINARY |= {"divmod": "divmod", "lshift": "<<", "rshift": ">>", "and": "&", "xor": "^", "or": "|"}
_OTHERS = {"lt": "<", "le": "<=", "gt": ">", "ge": ">=", "contains": "in", "neg": "-", "pos": "+", "invert": "~"}
_OTHERS |= {name: name for name in ("abs", "round", "float", "int", "complex")}
for _name, _operation in (_BINARY | {f"r{name}": operation for name, operation in _BINARY.items()} | _OTHERS).items():
    _refuse(_name, _operation)


@jaxtyped(typechecker=_checked)
class FloatArray(SparkPayload):
    """A real-valued signal.

    - `value`: floats of any shape and precision.

    **Raises:** `TypeError` when made from anything but an array of floats.
    """

    value: Float[Array, "*shape"]

    def __init__(self, value: Float[_ArrayLike, "*shape"]):
        self.value = _to_jax(self, "value", value, NAN)


@jaxtyped(typechecker=_checked)
class SpikeArray(SparkPayload):
    """Spikes, and which units are inhibitory.

    - `spikes`: 0 or 1. Floats wherever gradients must flow; booleans and signed integers elsewhere.
    - `inhibition_mask`: `True` marks an inhibitory unit. `None` means that all are excitatory, and costs nothing.

    **Raises:** `TypeError` for arrays of another dtype, or for two arrays that differ in shape.
    """

    spikes: Float[Array, "*shape"] | Bool[Array, "*shape"] | Int[Array, "*shape"]
    inhibition_mask: Bool[Array, "*shape"] | None

    def __init__(
        self,
        spikes: Float[_ArrayLike, "*shape"] | Bool[_ArrayLike, "*shape"] | Int[_ArrayLike, "*shape"],
        inhibition_mask: Bool[_ArrayLike, "..."] | None = None,
    ):
        if inhibition_mask is not None and inhibition_mask.shape != spikes.shape:
            raise TypeError(
                f"{type(self).__name__}: `inhibition_mask` must have the shape of `spikes`, {spikes.shape}, got an "
                f"array of shape {inhibition_mask.shape}."
            )
        self.spikes = _to_jax(self, "spikes", spikes)
        self.inhibition_mask = _to_jax(self, "inhibition_mask", inhibition_mask)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.spikes.shape

    @property
    def value(self) -> Shaped[Array, "*shape"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The signed view: -1 for an inhibitory spike. In the dtype of the spikes (int8 for booleans with a mask)."""
        if self.inhibition_mask is None:
            return self.spikes
        spikes = self.spikes.astype(jnp.int8) if self.spikes.dtype == bool else self.spikes
        return jnp.where(self.inhibition_mask, -spikes, spikes)


class SpikeTimes(SparkPayload):
    """The times of spikes in ms, and which spikes are inhibitory.

    - `times`: of shape `(*units, count)`, float32 or float64. The spikes of a unit are in ascending order, and `inf`
        follows after the last one. `count` is the largest number of spikes that a unit can have.
    - `inhibition_mask`: `True` marks an inhibitory spike. `None` means that all are excitatory, and costs nothing.

    The last axis holds spikes, not time. Modules that step take a raster: `spark_eqx.times` has the conversions,
    [`to_raster`][spark_eqx.times.to_raster] and [`of_raster`][spark_eqx.times.of_raster].

    **Raises:** `TypeError` for arrays of another dtype or without an axis, and for a mask of another shape.
    `ValueError` for times that are known and not in order, and for NaN and `-inf` among them.
    """

    times: Float[Array, "*units count"]
    inhibition_mask: Bool[Array, "*units count"] | None

    def __init__(self, times: _Times, inhibition_mask: _Mask | None = None):
        given, what = times, "SpikeTimes: `times` must be"
        if not isinstance(given, _ArrayLike) or given.dtype.name not in ("float32", "float64") or not given.ndim:
            remedy = "`jax.numpy.asarray(times, jax.numpy.float32)`"
            if isinstance(given, SpikeArray):
                remedy = "`spark_eqx.times.of_raster(spikes, dt)`"
            elif isinstance(given, SparkPayload):
                remedy = "`times.value`"
            elif isinstance(given, _ArrayLike) and not given.ndim:
                remedy = "`times[None]`"
            elif _of_several_lengths(given):
                remedy = (
                    "`spark_eqx.times.of_events(numpy.concatenate(trains), numpy.repeat(numpy.arange(len(trains)), "
                    "[len(train) for train in trains]), (len(trains),))` for a list `trains` with one array per unit"
                )
            raise TypeError(
                f"{what} an array of float32 or float64 of shape (*units, count) [ms], got {_described(given)}. Write "
                f"{remedy}."
            )
        self.times = _to_jax(self, "times", given, "numpy.inf")
        mask = inhibition_mask
        if mask is not None and (not isinstance(mask, _ArrayLike) or mask.dtype != bool or mask.shape != given.shape):
            raise TypeError(
                "SpikeTimes: `inhibition_mask` must be an array of booleans with one entry per spike, of shape "
                f"{given.shape}, got {_described(mask)}. For one boolean per unit, write "
                "`jax.numpy.broadcast_to(mask[..., None], times.shape)`."
            )
        self.inhibition_mask = _to_jax(self, "inhibition_mask", mask)

    def __check_init__(self):
        if not isinstance(self.times, jax.Array) or isinstance(self.times, Tracer):
            return
        known, what = np.asarray(self.times), "SpikeTimes: `times` must be"
        if np.isnan(known).any():
            raise ValueError(
                f"{what} numbers [ms], with `inf` where there is no spike, got {np.isnan(known).sum()} NaN. Write "
                "`jax.numpy.where(jax.numpy.isnan(times), jax.numpy.inf, times)`."
            )
        if (known == -np.inf).any():
            raise ValueError(
                f"{what} numbers [ms], with `inf` where there is no spike, got {(known == -np.inf).sum()} -inf. Write "
                "`jax.numpy.sort(jax.numpy.where(times == -jax.numpy.inf, jax.numpy.inf, times))`."
            )
        falls = known[..., 1:] < known[..., :-1]
        if falls.any():
            *unit, spike = (int(i) for i in np.argwhere(falls)[0])
            before, after = known[(*unit, spike)], known[(*unit, spike + 1)]
            remedy = "Write `jax.numpy.sort(times)`, which puts `inf` last."
            if self.inhibition_mask is not None:
                remedy = "Sort times and mask: `jax.numpy.take_along_axis(..., jax.numpy.argsort(times), -1)`."
            raise ValueError(
                f"{what} in ascending order along the last axis [ms], got {before:g} before {after:g}"
                f"{f' for unit {unit[0] if len(unit) == 1 else tuple(unit)}' if unit else ''}. {remedy}"
            )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.times.shape

    @property
    def value(self) -> Float[Array, "*shape"]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The times."""
        return self.times


def _of_several_lengths(given: Any) -> bool:
    """Whether these are trains with different numbers of spikes, in a list or in an array of objects."""
    ragged = isinstance(given, list | tuple) or getattr(given, "dtype", None) == np.dtype(object)
    return ragged and len({np.shape(train) for train in given}) > 1


def raster_of_times(given: PyTree, wanted: type[SparkPayload]) -> str:
    """The remedy to suggest where spike times are given instead of a raster or a signal; otherwise empty."""
    if not isinstance(given, SpikeTimes):
        return ""
    to_raster = "`spark_eqx.times.to_raster(times, dt, steps)`"
    if wanted is FloatArray:
        return f" Make a raster of the times, {to_raster}, and decode it, for instance by `encoder.decoder()`."
    return f" Make a raster of the times: {to_raster}."


def _described(given: _Times | _Mask) -> str:
    if isinstance(given, _ArrayLike):
        return f"an array of shape {given.shape}, dtype {given.dtype}" if given.ndim else f"a scalar of {given.dtype}"
    return shown(given)
