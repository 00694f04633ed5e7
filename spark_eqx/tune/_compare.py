"""The comparison of codes on a recording."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import jax
import jax.numpy as jnp
import jax.random as jr
import numpy as np
from jax.core import Tracer
from jaxtyping import Float, Int

from .._arguments import (
    Flag,
    Key,
    Scalar,
    Signal,
    Size,
    as_flag,
    as_number,
    as_signal,
    as_size,
    indices,
    named_channels,
)
from ..core.payloads import FloatArray
from ..core.running.keys import MOST_STEPS, check_key
from ..nn.interfaces.control.scale import Scale
from ..nn.interfaces.input.base import InputInterface
from ..records.checks import Check, non_negative, positive
from ..records.class_names import counted, nearest
from ..records.fields import shown
from ..records.masked import without_mask
from ..records.numbers import same_step, state_dtype
from ._channels import scored_samples, warn_left_out
from ._code_trials import Recording, Rules, try_code
from ._codes import LIBRARY, Grid, Steps
from ._comparison import Comparison, without_setting
from ._progress import Progress
from ._ridge import Classified


# At run time these are `Any`, for the reason given in `spark_eqx/_arguments.py`.
if TYPE_CHECKING:
    Codes: TypeAlias = str | Sequence[str] | Mapping[str, tuple[InputInterface, Mapping[str, Any]] | None]
    Labels: TypeAlias = Sequence[Any] | np.ndarray | jax.Array
    Effort: TypeAlias = Literal["quick", "full"]
else:
    Codes = Labels = Effort = Any

_LEAST_STEPS = 16
_LAGS = 250  # the longest delay that is tried by default, in steps
_PROBABILITY = Check("from 0 to below 1", lambda x: (x >= 0) & (x < 1))
_ORDER_ONLY = "not compared: it encodes the order of the channels, not their values"


def compare(
    signals: Signal,
    *,
    dt: Scalar = 1.0,
    most_spikes: Scalar | None = None,
    key: Key,
    codes: Codes | None = None,
    labels: Labels | None = None,
    loss: Scalar = 0.05,
    jitter: Scalar = 1.0,
    bins: Size = 20,
    longest_delay: Scalar | None = None,
    effort: Effort = "quick",
    progress: Flag = False,
) -> Comparison:
    """Try all codes on a recording, each with the best setting of its grid, and list them, the best one first.

    The recording may have any range: [`Scale`][] is fitted to each channel and becomes the first stage of every
    encoder, so that the reconstruction has the unit of the recording. The contrast codes start at the first sample of
    each channel. For several examples, they start at the mean of the first samples.

    **Score.** The score of a code is the signal-to-noise ratio of its reconstruction, without the power of the mean of
    each channel, averaged over the channels. The reconstruction is compared with the signal at the delay with the
    smallest error. With `labels`, the score is the accuracy of a classifier of the spikes, and the result has both.

    **Classifier.** Ridge regression of the classes, by cross-validation: each fold has one example of each class, or as
    many as its share allows if the classes differ in size. Of six kernels, each code uses the one with the smallest
    squared error: the linear and the arc-cosine kernel of the numbers of spikes in `bins` parts of the time, and the
    summed outputs of 256 random neurons with time constants of 5 and of 20 steps, in 4 and in 8 parts of the time. The
    accuracy is a guide to the accuracy of a network that is trained on the spikes. It is too high because the best of 8
    settings is chosen: about 65 % for 60 examples of two classes without any information, and more for the best of all
    codes. Shuffled `labels` show how much it is for your data. If there are more than 500 examples, 500 of them are
    classified, with the same shares of the classes, but at least two examples of each.

    **Limit.** `most_spikes` holds for each channel, with the spikes of all its units and the duration of its samples
    that are not missing. A code that draws random numbers is chosen so that the mean number of spikes over at least 16
    keys plus three standard deviations is within the limit.

    **Channels and missing samples.** A constant channel has no score. It is encoded, but neither its spikes nor its
    errors count; a warning names it. A sample that is NaN is missing: the encoder and the decoder run at its step, and
    it is not scored.

    **Codes.** `poisson`, `regular`, `renewal` (of order 16), `linear` (leaky), `latency`, `phase`, `weighted phase`,
    `burst`, `rank order`, `topological poisson` (8 units per channel), `delta`, `step forward`, `send on delta`,
    `moving window`, `hough`, `bens`. `rank order` encodes the order of the channels and not their values, so it is
    compared only if there are `labels`.

    Do not use this function under `jit`.

    **Arguments:**

    - `signals`: a [`FloatArray`][] or an array of floats of shape `(steps, channels)`, or `(examples, steps, channels)`
        for several recordings of one length.
    - `dt`: the time step [ms]; 4.0 for a recording at 250 Hz.
    - `most_spikes`: upper limit on the firing rate of each channel [spikes/s]. Without a limit the best setting is
        nearly always the one with the most spikes.
    - `key`: the key that each encoder gets in `init` and in `unroll`. For several examples, example `i` gets
        `jax.random.fold_in(key, i)`.
    - `codes`: the names of the codes to try, or a mapping from the name of each code of your own to its encoder and its
        grid, `{"mine": (encoder, {"threshold": [0.1, 0.2]})}`. The encoder gets the scaled signal, and a field `start`
        that is `None` becomes the first sample. The grid may also name fields of the encoder's decoder. In the mapping,
        `None` stands for the library's code of this name. `None` stands for all codes.
    - `labels`: the class of each example, integers or strings. Each class needs at least two examples.
    - `loss`: the probability with which spikes are lost, for the column that shows the SNR without them.
    - `jitter`: the standard deviation of the normally distributed time by which spikes are moved [ms], likewise.
        The time is rounded to whole steps: with less than a fifth of `dt`, hardly any spike moves.
    - `bins`: the number of equal parts of the time in which the spikes of each sign are counted for the classifier.
    - `longest_delay`: the longest delay to try [ms]. The last `longest_delay` of the signal is not scored. By default
        it is 250 steps, but at most a quarter of the recording.
    - `effort`: "quick", or "full" for finer grids, which take several times as long.
    - `progress`: whether to print the progress to the standard error.

    **Returns:** a [`Comparison`][spark_eqx.tune.Comparison]. A code without a setting within the limit has a row, too,
    with the reason.

    **Raises:** `TypeError` or `ValueError` for invalid arguments; they name the channel or the code.
    """
    numbers = {"dt": dt, "most_spikes": most_spikes, "loss": loss, "jitter": jitter, "longest_delay": longest_delay}
    _refuse_traced({"signals": signals, "key": key, "labels": labels, **numbers})
    values, batched = _signals(signals)
    dt = float(as_number("compare", "dt", dt, "ms", positive))
    most = (
        None if most_spikes is None else float(as_number("compare", "most_spikes", most_spikes, "spikes/s", positive))
    )
    if key is None:
        raise TypeError(
            "compare: `key` must be a key of JAX, `jax.random.key(0)`, got None. Spikes are lost at random."
        )
    check_key("compare", key)
    loss = float(as_number("compare", "loss", loss, "1", _PROBABILITY))
    jitter = float(as_number("compare", "jitter", jitter, "ms", non_negative))
    if not as_size("compare", "bins", bins, "1"):
        raise ValueError("compare: `bins` must be 1 or more, got 0.")
    if effort not in ("quick", "full"):
        raise ValueError(f'compare: `effort` must be "quick" or "full", got {effort!r}.')
    progress = as_flag("compare", "progress", progress)
    examples, steps, channels = values.shape
    classes = None if labels is None else _classes(labels, examples, batched)
    lags = _lags(longest_delay, steps, dt)
    chosen = _grids(codes, Steps(dt, steps, effort == "full"), classes is not None)
    by_time = np.moveaxis(values, 0, 1).reshape(steps * examples, channels)
    kept = steps - lags
    scored = scored_samples("compare", by_time, kept * examples, examples if batched else None).present
    present = np.moveaxis(np.asarray(scored).reshape(kept, examples, channels), 0, 1)
    flat = np.asarray(~np.asarray(present).any((0, 1)))
    if flat.any():
        warn_left_out("compare", flat, (channels,), "constant")
    keys = jax.vmap(lambda i: jr.fold_in(key, i))(jnp.arange(examples)) if batched else jnp.stack([key])
    try:
        recording = Recording.of(values, present, Scale.fit(values), keys, dt)
    except ValueError as error:
        raise ValueError(f"compare: `signals` must have a range that can be scaled to 0 to 1. {error}") from error
    # Apart from the keys of the steps and of `init`, because the spikes that are lost must not depend on the spikes.
    lost, drawn = jr.split(jr.fold_in(key, np.uint32(MOST_STEPS - 1)))
    rules = Rules(most, lags, loss, jitter, int(bins), effort == "full", classes, lost, drawn)
    report = Progress("compare", "code", len(chosen), progress)
    own = codes if isinstance(codes, Mapping) else {}
    found = []
    for name, grids in chosen.items():
        if isinstance(grids, str):
            found.append(without_setting(name, grids))
        else:
            try:
                found.append(try_code(name, grids, recording, rules, name == "rank order" and own.get(name) is None))
            except (TypeError, ValueError, NotImplementedError) as error:
                text = str(error).removeprefix("compare: ")
                raise type(error)(f"compare: code {name!r}: {text}") from error
        report(1)
    rank = lambda code: (code.snr,) if classes is None else Classified(code.accuracy, code.squared_error).rank
    # The sort is stable, so codes of equal scores are in the order of their SNR.
    found.sort(key=lambda code: -np.inf if np.isnan(code.snr) else code.snr, reverse=True)
    found.sort(key=lambda code: (False,) if code.reason else (True, *rank(code)), reverse=True)
    largest = np.nan if classes is None else float(np.bincount(classes).max() / examples)
    return Comparison(tuple(found), most, loss, jitter, indices(flat, (channels,)), largest)


def _refuse_traced(given: Mapping[str, Any]) -> None:
    remedy = "call `compare` outside of `jit`, `grad` and `vmap`."
    for name, value in given.items():
        if isinstance(value.value if isinstance(value, FloatArray) else value, Tracer):
            raise TypeError(f"compare: `{name}` must not be traced; {remedy}")
    # Under `jit` new arrays are traced even if no argument is.
    if isinstance(jnp.zeros(()), Tracer):
        raise TypeError(f"compare: the comparison must not be traced; {remedy}")


def _signals(signals: Signal) -> tuple[Float[np.ndarray, "examples steps channels"], bool]:
    """The signals, checked, and whether they had an axis of examples."""
    array = as_signal("compare", "signals", signals)
    if array.ndim not in (2, 3) or not array.size:
        remedy = " Write `signals[:, None]` for one channel." if array.ndim == 1 else ""
        raise ValueError(
            "compare: `signals` must be of shape (steps, channels) or (examples, steps, channels), without an empty "
            f"axis, got shape {array.shape}.{remedy}"
        )
    if array.shape[-2] < _LEAST_STEPS:
        raise ValueError(
            f"compare: `signals` must have at least {_LEAST_STEPS} steps, got shape {array.shape}. "
            f"Time is the {'first' if array.ndim == 2 else 'second'} axis."
        )
    with np.errstate(over="ignore"):
        values = np.asarray(jnp.asarray(array, jax.dtypes.canonicalize_dtype(state_dtype(array.dtype))))
    _check_precision(np.asarray(array, float), values)
    if array.ndim == 3 and (missing := np.isnan(values).all((1, 2))).any():
        raise ValueError(
            "compare: `signals` must have a sample that is not NaN in each example, got "
            f"{counted(int(missing.sum()), 'example')} without one; the first is example {missing.argmax()}. Remove "
            "them and their `labels`."
        )
    return (values, True) if values.ndim == 3 else (values[None], False)


def _check_precision(given: np.ndarray, values: np.ndarray) -> None:
    """Check that the dtype of the computation, `values.dtype`, represents the samples and the range of each channel."""
    axes, shape = tuple(range(given.ndim - 1)), given.shape[-1:]
    remedy = "or compute in float64: `jax.config.update('jax_enable_x64', True)`."
    if (wrong := np.asarray((np.isinf(values) & np.isfinite(given)).any(axes))).any():
        raise ValueError(
            f"compare: `signals` must be below {np.finfo(values.dtype).max:.2g}, the largest number of {values.dtype}; "
            f"{named_channels(wrong, shape, 'has', 'have')} larger samples. Divide the signals first, {remedy}"
        )
    with np.errstate(invalid="ignore", over="ignore"):
        before, after = (np.fmax.reduce(x, axes) - np.fmin.reduce(x, axes) for x in (given, values))
    # XLA replaces numbers below the smallest normal number by 0, and the deviation is less than the range.
    if (wrong := (before > 0) & (after < 1000 * np.finfo(values.dtype).tiny)).any():
        raise ValueError(
            f"compare: `signals` must vary by more than the resolution of {values.dtype}; "
            f"{named_channels(wrong, shape, 'varies', 'vary')} by less. Subtract the mean of each channel and scale "
            f"the rest, {remedy}"
        )


def _lags(longest_delay: Scalar | None, steps: int, dt: float) -> int:
    if longest_delay is None:
        return min(_LAGS, steps // 4)
    delay = float(as_number("compare", "longest_delay", longest_delay, "ms", non_negative))
    lags = int(delay / dt + 1e-9)
    if lags >= steps:
        raise ValueError(
            f"compare: `longest_delay` must be shorter than `signals`, which last {steps * dt:g} ms, got {delay:g} "
            "[ms]."
        )
    return lags


def _classes(labels: Labels, examples: int, batched: bool) -> Int[np.ndarray, " examples"]:
    """The labels as integers, checked."""
    given = np.asarray(without_mask("compare", "labels", labels, "a class"))
    if not batched:
        raise ValueError(
            "compare: `labels` needs `signals` of shape (examples, steps, channels), got a single recording of shape "
            "(steps, channels)."
        )
    if given.shape != (examples,):
        raise ValueError(
            f"compare: `labels` must have one class for each of the {counted(examples, 'example')}, got shape "
            f"{given.shape}."
        )
    if given.dtype.kind not in "biuUS":
        whole = given.dtype.kind == "f" and (given % 1 == 0).all()
        kind = "int" if whole else "str" if given.dtype.kind == "O" else ""
        remedy = f" Give `numpy.asarray(labels).astype({kind})`." if kind else ""
        raise TypeError(f"compare: `labels` must be integers or strings, got an array of dtype {given.dtype}.{remedy}")
    names, classes, sizes = np.unique(given, return_inverse=True, return_counts=True)
    if len(names) < 2:
        raise ValueError(f"compare: `labels` must have at least two classes, got only {names[0].item()!r}.")
    if sizes.min() < 2:
        raise ValueError(
            "compare: `labels` must have at least two examples of each class, one to learn from and one to test; class "
            f"{names[sizes.argmin()].item()!r} has one."
        )
    return classes


def _grids(codes: Codes | None, of: Steps, labelled: bool) -> dict[str, list[Grid] | str]:
    """The grids of each code, or the reason why it is not compared."""
    own = codes if isinstance(codes, Mapping) else {}
    names = LIBRARY if codes is None else [codes] if isinstance(codes, str) else codes
    if not isinstance(names, Mapping | list | tuple) or not names:
        raise TypeError(
            "compare: `codes` must be names of codes, or a mapping from names to an encoder and a grid, got "
            f"{shown(codes)}."
        )
    found: dict[str, list[Grid] | str] = {}
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"compare: `codes` must be names of codes, got {name!r} among them.")
        known = name if own.get(name) is not None else name.replace("_", " ")
        if known in found and own:
            raise ValueError(f"compare: `codes` must have different names, got {known!r} twice. Rename one of them.")
        if own.get(name) is not None:
            found[name] = [_own(name, own[name], of)]
            continue
        if known not in LIBRARY:
            raise ValueError(
                f"compare: `codes` must be names of the library's codes, got {name!r}{nearest(name, LIBRARY)}"
            )
        found[known] = _ORDER_ONLY if known == "rank order" and not labelled else LIBRARY[known](of)
    return found


def _own(name: str, pair: Any, of: Steps) -> Grid:
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[1], Mapping):
        raise TypeError(f"compare: code {name!r} must be a pair of an encoder and a grid, got {shown(pair)}.")
    encoder, grid = pair
    if not isinstance(encoder, InputInterface):
        raise TypeError(
            f"compare: code {name!r}: the encoder must be an input interface, got {shown(encoder)}. The scale is added."
        )
    if not np.ndim(encoder.config.dt) == 0 or not same_step(np.asarray(encoder.config.dt), np.asarray(of.dt)):
        raise ValueError(
            f"compare: code {name!r}: the encoder must have the time step of the signals, dt={of.dt:g} [ms], got "
            f"dt={encoder.config.dt} [ms]."
        )
    return encoder, grid
