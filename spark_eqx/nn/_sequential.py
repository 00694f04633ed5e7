import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, final

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from .._arguments import Numbers, Times
from ..core.config import SparkConfig
from ..core.exact import rounded_as_written
from ..core.module import SparkModule, wrap
from ..core.payloads import FloatArray, SparkPayload, SpikeArray
from ..core.ports import Port, takes_one
from ..core.running.keys import stage_key, stage_keys
from ..core.running.state_checks import check_returned
from ..core.specs import InputSpec
from ..records.class_names import counted
from ..records.numbers import concrete, same_step
from ..records.record import parameter
from .interfaces.input.base import InputInterface
from .interfaces.output.base import OutputInterface


class SequentialConfig(SparkConfig):
    """Config of [`Sequential`][]."""

    stages: tuple[SparkModule, ...] = parameter(description="modules, each of which takes the output of the one before")

    def __check_init__(self):
        if not self.stages:
            raise ValueError("SequentialConfig: `stages` must hold at least one module, got none.")
        timed = [(i, stage) for i, stage in enumerate(self.stages) if _time_step(stage) is not None]
        for (i, one), (j, other) in itertools.pairwise(timed):
            if not same_step(_time_step(one), _time_step(other)):
                raise ValueError(
                    f"SequentialConfig: all `stages` must have the same `dt`; stage {i}, {type(one).__name__}, has "
                    f"dt={_time_step(one)} [ms], stage {j}, {type(other).__name__}, dt={_time_step(other)} [ms]."
                )


def _time_step(stage: SparkModule) -> Any:
    """The `dt` [ms] of a stage, or of the first stage in it that has one. `None` if there is none or it is traced."""
    if isinstance(stage, Sequential):
        return next((dt for each in stage if (dt := _time_step(each)) is not None), None)
    dt = getattr(stage.config, "dt", None)
    return None if dt is None else concrete(dt)


@final
class Sequential(SparkModule[SequentialConfig, tuple]):
    """A sequence of modules as one module: `Sequential([encoder, layer, decoder])`.

    Each stage takes the one output of the stage before that fits its port, or its first port if the others are
    optional. The first stage takes the payloads that are passed to the `Sequential`, by port if it has several. The
    output is that of the last stage. The state is a tuple with one entry per stage.

    Stage `i`, counted from 0, gets the key `jax.random.fold_in(key, i)`. Here `key` is the key of the step in each
    step, `jax.random.fold_in(key, 2**32 - 1)` in `init`, and the given key in `build`.

    Over time, each stage runs alone, in its own whole-sequence form: `unroll(Sequential([a, b]), ...)` equals
    `unroll(b)` of the output of `unroll(a)`, bit for bit, if each step of a random stage has the key above. With
    `checkpoint`, each chunk passes through all stages.

    `len(module)` is the number of stages. `module[i]` and `for stage in module` return stages, and `module[i:j]`
    returns a `Sequential`.
    """

    def __init__(
        self, stages: Sequence[Any] | SequentialConfig = (), *others: Any, config: SequentialConfig | None = None
    ):
        """**Arguments:**

        - `stages`: a sequence of at least one module. All stages must have the same `dt`.
        - `config`: a config. If `stages` are given, too, they replace the stages of the config.

        **Raises:** `TypeError` or `ValueError` for anything else. `init` raises if two stages do not fit together.
        """
        if others or isinstance(stages, SparkModule):
            got = counted(1 + len(others), "argument")
            raise TypeError(
                f"Sequential: `stages` must be one sequence of modules, got {got}. Write `Sequential([...])`."
            )
        for i, stage in enumerate(stages if isinstance(stages, list | tuple) else ()):
            if not isinstance(stage, SparkModule):
                raise TypeError(f"Sequential: stage {i} must be a SparkModule, got {type(stage).__name__}: {stage!r}.")
        if isinstance(stages, SequentialConfig) and config is not None:
            raise TypeError("Sequential: `stages` and `config` are two configs. Give one of them.")
        given = (
            {} if isinstance(stages, SequentialConfig) or (config is not None and not stages) else {"stages": stages}
        )
        self.config = SequentialConfig.of(stages if isinstance(stages, SequentialConfig) else config, given)

    @property
    def port(self) -> Port:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The port of the first stage."""
        return self[0].port

    @property
    def ports(self) -> tuple[Port, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """The ports of the first stage."""
        return self[0].ports

    def build(self, input_specs: Mapping[str, Any], *, key: PRNGKeyArray | None = None) -> tuple:
        """The states of all stages.

        **Raises:** the errors of a stage; `TypeError` naming two stages if one does not take the other's output.
        """
        self.spec(input_specs)
        specs, states = input_specs, []
        for i, stage in enumerate(self):
            if i > 0:
                specs = {stage.port.name: self._between(i, self[i - 1].output_specs(specs))}
            states.append(stage.build(specs, key=stage_key(key, i)))
        return tuple(states)

    def _between(self, i: int, output: Mapping[str, Any]) -> Any:
        """The one output of stage `i - 1` that stage `i` takes, a payload or a spec."""
        before, stage = self[i - 1], self[i]
        type_of = lambda each: each.payload_type if isinstance(each, InputSpec) else type(each)
        fitting = [each for each in output.values() if stage.port.takes(type_of(each))]
        if len(fitting) == 1 and not stage.port.many and takes_one(stage.ports):
            return fitting[0]
        given = ", ".join(f"{name!r} ({type_of(each).__name__})" for name, each in output.items())
        first, *others = stage.ports
        needed = [first, *(port for port in others if not port.optional)]
        taken = ", ".join(
            f"{port.name!r} ({'a sequence of ' if port.many else ''}{port.payload_type.__name__})" for port in needed
        )
        raise TypeError(
            f"Sequential: stage {i - 1}, {type(before).__name__}, gives {given}; stage {i}, {type(stage).__name__}, "
            f"takes {'one payload' if len(needed) == 1 else 'payloads'} for {taken}."
        )

    def validate(self, payload: Any) -> Any:
        return self[0].validate(payload)

    def _warn(self, payload: Any) -> None:
        self[0]._warn(payload)

    def step(self, payload: Any, state: tuple, *, key: PRNGKeyArray | None) -> tuple[Any, tuple]:
        def step(stage, i, payload, state):
            returned = stage.step(payload, state, key=stage_key(key, i))
            check_returned(stage, "step", returned, state)
            return returned

        return self._go(payload, state, step)

    def run(self, payload: Any, state: tuple, *, keys: Any, steps: Any, held: bool) -> tuple[Any, tuple]:
        def run(stage, i, payload, state):
            returned = stage.run(payload, state, keys=stage_keys(keys, i), steps=steps, held=held and i == 0)
            check_returned(stage, "run", returned, state, steps)
            return returned

        return self._go(payload, state, run)

    def _go(self, payload: Any, state: tuple, run: Any) -> tuple[Any, tuple]:
        output, states = {}, []
        for i, stage in enumerate(self):
            if i > 0:
                payload = wrap(stage, _as_between_programs(self._between(i, output)))
            output, new = run(stage, i, payload, state[i])
            states.append(new)
        return output, tuple(states)

    def decoder(self, *, stages: Any = None, **overrides: Any) -> "Sequential":
        """The chain that reconstructs the signal: the decoders of the stages, in reverse order, with the parameters of
        the stages. Arrays stay arrays.

        ```python
        from spark_eqx.nn.interfaces import OnOff, Scale, StepForwardSpiker

        chain = spark.Sequential([Scale(mins=-80.0, maxs=40.0), StepForwardSpiker(), OnOff()])
        print([type(stage).__name__ for stage in chain.decoder()])
        ```

        ```text
        ['OnMinusOff', 'ContrastDecoder', 'Unscale']
        ```

        **Arguments:**

        - `stages`: other values for fields of the decoders of single stages, by the index of the stage in this chain:
            `stages={0: {"maxs": 50.0}}`. For a stage that is a `Sequential`, they are the arguments of its `decoder`.
        - `overrides`: other values for fields of the decoder of the one stage that encodes a signal as spikes, in the
            unit of that stage: `start` of a contrast code after [`Scale`][] is in units of the range.

        **Raises:** `NotImplementedError` naming the first stage that has no decoder; `ValueError` for `overrides` if no
            stage, or more than one, encodes a signal as spikes, and for an index without a stage; the errors of the
            decoders, for instance for an unknown field.
        """
        fields = _fields_by_stage(stages, len(self))
        if overrides:
            encoders = [i for i, stage in enumerate(self) if _encodes(stage)]
            if len(encoders) != 1:
                names = ", ".join(f"`{name}`" for name in overrides)
                raise ValueError(
                    f"Sequential.decoder: {names} must be for the one stage that encodes a signal as spikes, and this "
                    f"chain has {counted(len(encoders), 'such stage')}. Write `stages={{index: {{...}}}}`."
                )
            fields[encoders[0]] = overrides | fields.get(encoders[0], {})
        decoders = []
        for i, stage in enumerate(self):
            try:
                decoders.append(_decoder_of(stage)(stage, **fields.get(i, {})))
            except NotImplementedError as error:
                # The message of a nested chain counts its own stages.
                reason = str(error).removeprefix("Sequential.decoder: ").replace("`chain[", f"`chain[{i}][")
                rest = "" if isinstance(stage, Sequential) else _decoder_of_rest(self, i + 1)
                raise NotImplementedError(
                    f"Sequential.decoder: stage {i}, {type(stage).__name__}, has no decoder: {rest}{reason}"
                ) from error
        return Sequential(decoders[::-1])

    def from_times(self, times: Times, at: Numbers | None = None) -> FloatArray:
        """The values that spike times encode, by a chain that begins with a decoder: its method
        [`from_times`][spark_eqx.nn.interfaces.OutputInterface.from_times], followed by the other stages.

        ```python
        from spark_eqx.nn.interfaces import LinearSpiker, Scale

        scale, encoder = Scale(mins=-80.0, maxs=40.0), LinearSpiker()
        signal, _ = scale(jnp.array([-20.0, 40.0]), None)
        times = encoder.times(signal["signal"], duration=100.0)
        decoder = spark.Sequential([scale, encoder]).decoder()
        print(decoder.from_times(times).value.round(3))
        ```

        ```text
        [-20.  40.]
        ```

        **Arguments:**

        - `times`, `at`: as in the method of the decoder.

        **Returns:** a [`FloatArray`][], the signal of the last stage, at each moment.

        **Raises:** `TypeError` if the first stage has no such method, and for a stage with a state after it, such as
            [`SignalAverage`][]: it needs equal time steps. The errors of the stages.
        """
        name, (first, *others) = "Sequential.from_times", self
        method: Any = getattr(type(first), "from_times", None)
        if method is None:
            later = next((i for i, each in enumerate(self) if isinstance(each, OutputInterface)), None)
            rest = "Put a decoder first." if later is None else f"Write `chain[{later}:].from_times(times, at)`."
            raise TypeError(
                f"{name}: stage 0 must be a decoder with the method `from_times`, got {type(first).__name__}. {rest}"
            )
        output: Mapping[str, Any] = {"signal": method(first, times, at)}
        for i, stage in enumerate(others, 1):
            signal = self._between(i, output)
            of_moment = lambda x: jax.ShapeDtypeStruct(x.shape[1:], x.dtype)  # `at` may be empty
            frame = signal if at is None else jax.tree.map(of_moment, signal)
            state = type(stage).init(stage, frame)
            if jax.tree.leaves(state):
                raise TypeError(
                    f"{name}: no stage after the decoder may have a state, got stage {i}, {type(stage).__name__}, "
                    f"which needs equal time steps. Write `signal = chain[:{i}].from_times(times, at)` with `at = (1 + "
                    f"numpy.arange(steps)) * dt`, and `spark_eqx.unroll(chain[{i}:], signal)`."
                )
            output, _ = stage(signal, state) if at is None else type(stage).unroll(stage, signal, state)
        if len(output) == 1 and isinstance(signal := next(iter(output.values())), FloatArray):
            return signal
        given = ", ".join(f"{name!r} ({type(each).__name__})" for name, each in output.items())
        raise TypeError(f"{name}: the last stage must give one FloatArray, got {type(self[-1]).__name__} with {given}.")

    def __len__(self) -> int:
        return len(self.config.stages)

    def __iter__(self) -> Iterator[SparkModule]:
        return iter(self.config.stages)

    def __getitem__(self, i: int | slice) -> Any:
        stages: Any = self.config.stages[i]
        return Sequential(stages) if isinstance(i, slice) else stages

    def __pdoc__(self, **kwargs: Any) -> Any:
        """The form in which Equinox prints the module: its stages."""
        import wadler_lindig as wl  # the printer of Equinox

        docs = [wl.pdoc(stage, **kwargs) for stage in self]
        begin, end = wl.TextDoc("Sequential(["), wl.TextDoc("])")
        return wl.bracketed(begin=begin, docs=docs, sep=wl.comma, end=end, indent=kwargs["indent"])


def _as_between_programs(payload: SparkPayload) -> SparkPayload:
    """The payload, rounded. Spikes are not, because they are 0 and 1, which rounding does not change."""
    if isinstance(payload, SpikeArray):
        return payload
    return jax.tree.map(lambda x: rounded_as_written(x) if jnp.issubdtype(x.dtype, jnp.floating) else x, payload)


def _fields_by_stage(stages: Any, count: int) -> dict[int, dict[str, Any]]:
    """The argument `stages` of `decoder`, checked."""
    if stages is None:
        return {}
    fields = lambda each: isinstance(each, Mapping) and all(isinstance(name, str) for name in each)
    if not isinstance(stages, Mapping) or not all(map(fields, stages.values())):
        raise TypeError(
            "Sequential.decoder: `stages` must map the index of a stage to the fields of its decoder, as in "
            f"`{{0: {{...}}}}`, got {stages!r}."
        )
    if unknown := [i for i in stages if isinstance(i, bool) or i not in range(count)]:
        raise ValueError(
            f"Sequential.decoder: `stages` must have indices from 0 to {count - 1} for "
            f"{counted(count, 'stage')}, got {unknown[0]!r}."
        )
    return {int(i): dict(each) for i, each in stages.items()}


def _encodes(stage: SparkModule) -> bool:
    """Whether a stage encodes a signal as spikes, itself or by a stage of its own."""
    return any(map(_encodes, stage)) if isinstance(stage, Sequential) else isinstance(stage, InputInterface)


def _decoder_of_rest(chain: Sequential, i: int) -> str:
    """For an error: the decoder of the stages from `i` on, if there is one. It reconstructs the output before them."""
    rest = chain[i:] if i < len(chain) else ()
    if not any(map(_encodes, rest)) or not all(hasattr(type(stage), "decoder") for stage in rest):
        return ""
    part = f"chain[{i}]" if len(rest) == 1 else f"chain[{i}:]"
    return f"`{part}.decoder()` reconstructs its output. "


def _decoder_of(stage: SparkModule) -> Callable[..., SparkModule]:
    """The method `decoder` of the class of a stage."""
    decoder = getattr(type(stage), "decoder", None)
    if decoder is None:
        raise NotImplementedError("`LinearDecoder.fit` fits a decoder of spikes to examples.")
    return decoder
