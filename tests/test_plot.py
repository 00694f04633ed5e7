import io
import subprocess
import sys
import tracemalloc
import warnings
from typing import Any

import jax.numpy as jnp
import jax.random as jr
import matplotlib
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import to_rgb, to_rgba
from matplotlib.figure import Figure

import spark_eqx as spark
from spark_eqx import FloatArray, SpikeArray, measure, plot as typed_plot
from spark_eqx.nn.interfaces import (
    DeltaSpiker,
    ExponentialIntegrator,
    FilterBank,
    InputInterface,
    InputInterfaceConfig,
    LinearSpiker,
    MovingWindowSpiker,
    PhaseSpiker,
    PoissonSpiker,
    ReceptiveFields,
    SendOnDeltaSpiker,
    StepForwardSpiker,
    TopologicalLinearSpiker,
    TopologicalPoissonSpiker,
    _outside,
)
from spark_eqx.tune import CodeResult, Comparison, SearchResult

from .helpers import with_sweep


plot: Any = typed_plot  # untyped, because Matplotlib's annotations are less precise than these tests


@pytest.fixture(autouse=True)
def figures():
    matplotlib.use("Agg")
    plt.close("all")  # figures that the pages drew
    yield
    plt.close("all")


def blank(width=4, height=3, dpi=100) -> Any:
    """Axes of `100 width` by `100 height` pixels that fill their figure, made without pyplot."""
    return Figure(figsize=(width, height), dpi=dpi).add_axes((0, 0, 1, 1))


def pixels(ax):
    """The pixels within the frame: rows from the top, RGB from 0 to 1."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    ax.set_axis_off()
    canvas = FigureCanvasAgg(ax.figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3] / 255


def texts(ax):
    return [] if ax.get_legend() is None else [text.get_text() for text in ax.get_legend().get_texts()]


def random_spikes(shape, p=0.3):
    return np.random.default_rng(0).random(shape) < p


SPIKES = np.zeros((6, 2, 2), bool)
SPIKES[0, 0, 1] = SPIKES[5, 1, 1] = SPIKES[2, 0, 0] = SPIKES[2, 1, 0] = True


def test_matplotlib_is_imported_by_the_first_plot_and_named_if_it_is_missing():
    code = """
import sys, numpy as np, spark_eqx, spark_eqx.plot
assert not any(name.startswith("matplotlib") for name in sys.modules)
sys.modules["matplotlib"] = None
try:
    spark_eqx.plot.raster(np.ones((3, 2)))
except ImportError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "spark_eqx.plot draws with Matplotlib: pip install matplotlib\n"


# Rasters.


@pytest.mark.parametrize(
    "spikes",
    [
        SPIKES,
        SPIKES.astype(np.int8),
        SPIKES.astype(np.uint8),
        SPIKES * 0.5,
        jnp.asarray(SPIKES, jnp.bfloat16),
        jnp.asarray(SPIKES, jnp.float32),
        SpikeArray(jnp.asarray(SPIKES)),
    ],
    ids=lambda spikes: f"{type(spikes).__name__}-{spikes.dtype}",
)
def test_raster_has_one_tick_per_spike_in_the_middle_of_its_step(spikes):
    ax = plot.raster(spikes, dt=0.5)
    assert ax is plt.gca()
    (line,) = ax.get_lines()
    assert len(ax.collections) == len(ax.images) == 0
    np.testing.assert_array_equal(line.get_xydata(), [(0.25, 1), (1.25, 0), (1.25, 2), (2.75, 3)])
    assert (line.get_marker(), line.get_linestyle()) == ("|", "None")
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 3), (-0.5, 3.5))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("time [ms]", "unit")
    assert ax.get_legend() is None
    ticks = ax.get_yticks()
    np.testing.assert_array_equal(ticks, np.round(ticks))


def test_raster_without_units_or_spikes():
    ax = plot.raster(SPIKES[:, 0, 1])
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata(), [(0.5, 0)])
    low, high = ax.get_ylim()
    assert [tick for tick in ax.get_yticks() if low <= tick <= high] == [0]
    (line,) = plot.raster(np.zeros((5, 3)), ax=blank()).get_lines()
    assert line.get_xydata().size == 0


def test_spikes_with_a_nan_keep_their_signs():
    ax = plot.raster(np.array([[-1.0], [1.0], [np.nan]]))
    excitatory, inhibitory = ax.get_lines()
    np.testing.assert_array_equal(inhibitory.get_xdata(), [0.5])
    np.testing.assert_array_equal(excitatory.get_xdata(), [1.5, 2.5])


def test_ticks_are_as_high_as_rows():
    for units, points in ((1, 12), (90, 0.8 * 300 / 90 * 0.72), (5000, 1)):
        spikes = np.zeros((10, units))
        spikes[3, 0] = 1
        (line,) = plot.raster(spikes, ax=blank()).get_lines()
        assert line.get_markersize() == pytest.approx(points)


@pytest.mark.parametrize("masked", [True, False])
def test_inhibitory_spikes_have_another_colour_and_another_marker(masked):
    mask = np.broadcast_to(np.array([[False, True], [False, False]]), SPIKES.shape).copy()
    mask[2, 1, 0] = True  # one spike of a unit that is excitatory at other times
    payload = SpikeArray(SPIKES, mask)
    ax = plot.raster(payload if masked else payload.value)
    excitatory, inhibitory = ax.get_lines()
    np.testing.assert_array_equal(excitatory.get_xydata(), [(2.5, 0), (5.5, 3)])
    np.testing.assert_array_equal(inhibitory.get_xydata(), [(0.5, 1), (2.5, 2)])
    assert excitatory.get_color() != inhibitory.get_color()
    assert (excitatory.get_marker(), inhibitory.get_marker()) == ("|", "x")
    assert inhibitory.get_markersize() < excitatory.get_markersize()  # a cross is wider than a tick
    assert texts(ax) == ["excitatory", "inhibitory"]
    for line, handle in zip(ax.get_lines(), ax.get_legend().legend_handles, strict=True):
        assert (line.get_marker(), line.get_color()) == (handle.get_marker(), handle.get_color())


@pytest.mark.parametrize("size", [(4, 3), (0.2, 0.2)], ids=["ticks", "image"])
def test_signs_are_named_in_the_legend(size):
    spikes = np.where(np.arange(12) % 2, 1, -1)[:, None] * np.ones((12, 6))
    ax = plot.raster(spikes, signs=["up", "down"], ax=blank(*size))
    assert bool(ax.images) == (size != (4, 3)) and [text.split(",")[0] for text in texts(ax)] == ["up", "down"]
    ax = plot.spectrogram(spikes, spikes, signs=("brighter", "darker"), ax=blank(*size))
    assert [text.split(",")[0] for text in texts(ax)] == ["brighter", "darker"]
    assert plot.raster(np.abs(spikes), signs=("up", "down"), ax=blank()).get_legend() is None


def rows(ax):
    return dict(zip(ax.get_yticks(), [label.get_text() for label in ax.get_yticklabels()], strict=True))


@pytest.mark.parametrize("names", [["Fz", "Cz", "P3", "P4"], np.array(["Fz", "Cz", "P3", "P4"]), ("Fz", "Cz", 3, 4)])
def test_rows_of_spikes_have_names(names):
    for draw in (plot.raster, plot.rates):
        ax = draw(SPIKES, names=names, ax=blank())
        assert rows(ax) == dict(enumerate(map(str, names))) and ax.get_ylabel() == "channel"
    ax = plot.rates(SPIKES, lines=True, names=names, ax=blank())
    assert texts(ax) == [str(name) for name in names]
    assert texts(plot.rates(SPIKES[:, 0, 0], lines=True, names=["Fz"], ax=blank())) == ["Fz"]


@pytest.mark.parametrize(
    "draw", with_sweep(plot.raster, lambda values, **more: plot.traces(values, stacked=True, **more))
)
def test_names_of_many_rows_do_not_overlap(draw):
    for count in (5, 19, 64, 1000):
        figure = Figure(layout="constrained", figsize=(4, 3))
        ax = draw(np.ones((20, count)), names=[f"E{i}" for i in range(count)], ax=figure.add_subplot())
        assert all(name == f"E{row:.0f}" for row, name in rows(ax).items()) and rows(ax)[0] == "E0"
        figure.savefig(io.BytesIO())
        boxes = [label.get_window_extent() for label in ax.get_yticklabels()]
        assert all(below.y1 < above.y0 for below, above in zip(boxes, boxes[1:]))
        assert len(boxes) == 5 if count == 5 else 8 <= len(boxes) < 20


@pytest.mark.parametrize("kind", ["bool", "signed", "mask"])
def test_dense_raster_is_an_image_of_the_rates_of_its_pixels(kind):
    """Each pixel shows 10 steps of 0.5 ms and 3 units."""
    spikes = random_spikes((1000, 300))
    mask = np.broadcast_to(np.arange(300) >= 210, spikes.shape)
    parts = [spikes] if kind == "bool" else [spikes & ~mask, spikes & mask]
    given = {"bool": spikes, "signed": np.where(mask, -1.0, 1.0) * spikes, "mask": SpikeArray(spikes, mask)}[kind]
    ax = plot.raster(given, dt=0.5, ax=blank(1, 1))
    assert len(ax.images) == len(parts) and len(ax.lines) == len(ax.collections) == 0
    for image, part, text in zip(ax.images, parts, texts(ax), strict=True):
        expected = part.reshape(100, 10, 100, 3).mean((1, 3)).T * 2000
        np.testing.assert_allclose(image.get_array(), expected)
        full = np.percentile(expected[expected > 0], 99)
        assert image.get_clim() == (0, full) and f"full colour: {full:.3g} Hz" in text
        assert image.origin == "lower" and image.get_extent() == [0, 500, -0.5, 299.5]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 500), (-0.5, 299.5))
    if kind != "bool":
        assert [text.split(",")[0] for text in texts(ax)] == ["excitatory", "inhibitory"]


@pytest.mark.parametrize("shape", [(997, 301), (101, 100), (7, 5000), (5000, 7), (1, 20000), (20000, 1)])
def test_image_has_at_most_the_pixels_and_loses_no_spike(shape):
    spikes = random_spikes(shape, 0.6)
    (image,) = plot.raster(spikes, ax=blank(1, 1)).images
    rows, columns = image.get_array().shape
    assert rows == min(100, shape[1]) and columns == min(100, shape[0])
    # The bins divide steps and units as evenly as possible.
    steps, units = (np.diff(np.arange(n + 1) * size // n) for n, size in ((columns, shape[0]), (rows, shape[1])))
    assert np.sum(image.get_array() * steps * units[:, None] / 1000) == pytest.approx(spikes.sum())


def test_one_artist_for_all_ticks():
    ax = plot.raster(random_spikes((3000, 2000), 0.005), ax=blank(8, 6))
    assert len(ax.lines) == 1 and len(ax.lines[0].get_xdata()) > 20_000


@pytest.mark.parametrize("shape", [(10_000, 1000), (100, 100_000)])
def test_raster_needs_little_memory(shape):
    spikes = random_spikes(shape)
    for draw in (plot.raster, plot.rates):
        draw(spikes[:50, :50], ax=blank())  # for the memory that is allocated only once
        tracemalloc.start()
        ax = draw(spikes, ax=blank())
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert len(ax.images) == 1 and len(ax.lines) == len(ax.collections) == 0
        assert peak < spikes.nbytes


@pytest.mark.parametrize("draw", [plot.raster, plot.rates])
@pytest.mark.parametrize("size", [(4, 3), (0.3, 0.3)])
def test_unit_0_is_at_the_bottom_and_time_goes_to_the_right(draw, size):
    """For ticks, an image, and a heat map, according to the pixels."""
    spikes = np.zeros((60, 40), bool)
    spikes[:30, :20] = random_spikes((30, 20), 0.9)
    ax = blank(*size)
    assert bool(draw(spikes, ax=ax).images) == (draw is plot.rates or size == (0.3, 0.3))
    for each in ax.figure.axes[1:]:  # the colour bar
        each.remove()
    ax.set_position((0, 0, 1, 1))
    drawn = pixels(ax)
    h, w = drawn.shape[0] // 2, drawn.shape[1] // 2
    spread = [part.std((0, 1)).max() for part in (drawn[h + 2 :, : w - 2], drawn[: h - 2], drawn[:, w + 2 :])]
    if draw is plot.rates:  # the window of 50 ms is longer than the rest of the raster
        spread[2] = drawn[: h - 2, w + 2 :].std((0, 1)).max()
    assert spread[0] > 0.05 and max(spread[1:]) < 1e-6


# Rates.


def sliding(spikes, n):
    """Spikes per step in the window of `n` steps around the middle of each step."""
    rows = []
    for t in range(len(spikes)):
        start = (2 * t + 1 - n) // 2
        rows.append(spikes[max(start, 0) : max(start + n, 0)].mean(0))
    return np.array(rows)


@pytest.mark.parametrize("window", [0.1, 0.5, 3.5, 4.0, 500.0])
@pytest.mark.parametrize("lines", [False, True])
def test_rates_are_counted_in_the_window(window, lines):
    spikes = random_spikes((80, 2, 3))
    payload = SpikeArray(spikes, random_spikes(spikes.shape, 0.5))  # the sign makes no difference
    ax = plot.rates(payload, dt=0.5, window=window, lines=lines)
    n = max(round(window / 0.5), 1)
    expected = sliding(spikes.reshape(80, 6), n) * 2000
    text = f"rate [Hz], window {n * 0.5:g} ms"
    if lines:
        for i, line in enumerate(ax.get_lines()):
            np.testing.assert_allclose(line.get_xdata(), (np.arange(80) + 0.5) * 0.5)
            np.testing.assert_allclose(line.get_ydata(), expected[:, i], atol=1e-9)
        assert ax.get_ylabel() == text and texts(ax) == [f"unit {i}" for i in range(6)]
        assert len({line.get_color() for line in ax.get_lines()}) == 6
        assert ax.get_ylim()[0] < 0 and ax.get_ylim()[1] > expected.max()
    else:
        (image,) = ax.images
        np.testing.assert_allclose(image.get_array(), expected.T, atol=1e-9)
        assert image.origin == "lower" and image.get_extent() == [0, 40, -0.5, 5.5]
        assert image.get_clim() == (0, pytest.approx(expected.max()))
        assert image.colorbar.ax.get_ylabel() == text and ax.get_ylabel() == "unit"
        assert image.get_cmap().name == matplotlib.rcParams["image.cmap"]
    assert ax.get_xlabel() == "time [ms]" and ax.get_xlim() == (0, 40)


def test_rates_of_long_and_wide_rasters():
    """A pixel shows the mean over its 4 units, in a window of at least its length of 20 steps."""
    spikes = random_spikes((2000, 400))
    ax = plot.rates(spikes, dt=0.1, window=0.3, ax=blank(1, 1))
    (image,) = ax.images
    np.testing.assert_allclose(image.get_array(), spikes.reshape(100, 20, 100, 4).mean((1, 3)).T * 10_000)
    assert image.colorbar.ax.get_ylabel() == "rate [Hz], window 2 ms"
    (image,) = plot.rates(spikes, dt=0.1, window=6.0, ax=blank(1, 1)).images
    expected = np.array([spikes[max(20 * i - 20, 0) : 20 * i + 40].mean(0) for i in range(100)])
    np.testing.assert_allclose(image.get_array(), expected.reshape(100, 100, 4).mean(2).T * 10_000)


def test_rates_without_spikes_and_of_one_unit():
    spikes = np.zeros((20, 1))
    assert plot.rates(spikes).images[0].get_clim() == (0, 1)
    ax = plot.rates(spikes, lines=True, ax=blank())
    assert ax.get_legend() is None and ax.get_ylim()[0] < 0 < ax.get_ylim()[1]


# Channels.


def test_spectrogram_has_one_row_per_channel_and_a_tick_per_spike():
    values = np.random.default_rng(0).random((20, 8)).astype(np.float32) + 2
    spikes = np.zeros((20, 8), np.float32)
    spikes[3, 0], spikes[7, 5] = 1, -1
    ax = plot.spectrogram(FloatArray(jnp.asarray(values)), spikes, dt=0.5)
    (image,) = ax.images
    np.testing.assert_allclose(image.get_array(), values.T, rtol=1e-6)
    assert image.origin == "lower" and image.get_extent() == [0, 10, -0.5, 7.5]
    assert image.get_clim() == (pytest.approx(values.min()), pytest.approx(values.max()))
    assert image.colorbar.ax.get_ylabel() == "signal" and (ax.get_xlabel(), ax.get_ylabel()) == ("time [ms]", "channel")
    up, down = ax.get_lines()
    np.testing.assert_array_equal([up.get_xydata(), down.get_xydata()], [[(1.75, 0)], [(3.75, 5)]])
    assert (up.get_marker(), down.get_marker()) == ("|", "x") and len(texts(ax)) == 2
    assert up.get_color() == down.get_color() == to_rgba(ax.get_facecolor())
    assert all(handle.get_color() == matplotlib.rcParams["text.color"] for handle in ax.get_legend().legend_handles)
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 10), (-0.5, 7.5))


def test_spectrogram_names_the_frequencies_of_channels():
    bank = FilterBank(channels=11)
    channels = spark.unroll(bank, bank.frames(np.ones(1600, np.float32)))[0]["output"]
    ax = plot.spectrogram(channels, centres=bank.centres, ax=blank())
    assert ax.get_ylabel() == "centre frequency [Hz]" and not ax.get_lines()
    np.testing.assert_array_equal(ax.get_yticks(), [0, 2, 4, 6, 8, 10])
    assert [label.get_text() for label in ax.get_yticklabels()] == [f"{bank.centres[i]:.0f}" for i in range(0, 11, 2)]
    assert plot.spectrogram(np.ones((5, 1)), centres=np.ones(1), ax=blank()).get_yticks() == [0]


def test_long_and_wide_spectrograms_show_means():
    values = np.random.default_rng(0).random((2000, 400))
    ax = plot.spectrogram(values, random_spikes((2000, 400)), ax=blank(1, 1))
    means, shades = ax.images
    np.testing.assert_allclose(means.get_array(), values.reshape(100, 20, 100, 4).mean((1, 3)).T)
    # There are too many spikes for ticks.
    assert not ax.get_lines() and shades.get_cmap()(1.0) == to_rgba(ax.get_facecolor())


@pytest.mark.parametrize("style", ["default", "dark_background"])
def test_spikes_have_a_contrast_on_every_value(style):
    with plt.style.context(style):
        ax = plot.spectrogram(np.ones((5, 1)), ax=blank())
        shades = ax.images[0].get_cmap()(np.linspace(0, 1, 50))[:, :3]
        luminance = lambda colour: np.asarray(colour) @ [0.2126, 0.7152, 0.0722]
        assert np.abs(luminance(shades) - luminance(to_rgb(ax.get_facecolor()))).min() > 0.2


# Signals.


def test_traces():
    decoded = np.random.default_rng(0).random((5, 3))
    original = np.random.default_rng(1).random((5, 3)).astype(np.float32)
    ax = plot.traces(FloatArray(jnp.asarray(decoded, jnp.float32)), original, dt=2.0)
    lines = ax.get_lines()
    for i in range(3):
        for line, values in ((lines[i], decoded), (lines[3 + i], original)):
            np.testing.assert_array_equal(line.get_xdata(), [1, 3, 5, 7, 9])
            np.testing.assert_allclose(line.get_ydata(), values[:, i], rtol=1e-6)
        # Both lines are visible where they are equal.
        assert lines[i].get_color() == lines[3 + i].get_color()
        assert lines[3 + i].get_linewidth() > 2 * lines[i].get_linewidth()
        assert lines[3 + i].get_zorder() < lines[i].get_zorder()
    assert len(lines) == 6 and len({line.get_color() for line in lines}) == 3
    assert texts(ax) == ["signal 0", "signal 1", "signal 2", "decoded", "original"]
    assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xlim()) == ("time [ms]", "signal", (0, 10))


def test_traces_of_one_signal_and_of_a_held_signal():
    values = np.linspace(0, 1, 7)
    assert plot.traces(values).get_legend() is None
    ax = plot.traces(values, np.asarray(0.5), ax=blank())
    assert texts(ax) == ["decoded", "original"]
    np.testing.assert_array_equal(ax.get_lines()[1].get_ydata(), np.full(7, 0.5))
    ax = plot.traces(np.stack([values] * 4, axis=1).reshape(7, 2, 2), np.arange(4.0).reshape(2, 2), ax=blank())
    for i, line in enumerate(ax.get_lines()[4:]):
        np.testing.assert_array_equal(line.get_ydata(), np.full(7, i))


def test_long_traces_keep_the_extremes_of_each_pixel():
    values = np.random.default_rng(0).normal(size=(10_000, 2))
    lines = plot.traces(values, dt=0.1, ax=blank(1, 1)).get_lines()
    for i, line in enumerate(lines):
        bins = values[:, i].reshape(100, 100)
        np.testing.assert_allclose(line.get_xdata(), np.repeat(np.arange(100) * 10.0 + 5, 2))
        np.testing.assert_array_equal(line.get_ydata(), np.stack([bins.min(1), bins.max(1)], axis=1).ravel())


def test_traces_have_names_and_a_label():
    ax = plot.traces(np.ones((5, 2, 1)), np.zeros((2, 1)), names=["Fz", "Cz"], label="signal [uV]")
    assert texts(ax) == ["Fz", "Cz", "decoded", "original"] and ax.get_ylabel() == "signal [uV]"
    assert texts(plot.traces(np.ones(5), names=["Fz"], ax=blank())) == ["Fz"]


def test_stacked_traces_have_one_scale_and_an_offset_per_signal():
    """The rows are 1.1 times as high as the largest range, which is 40."""
    signal = np.array([[-100, 5, 1e6], [-60, np.nan, 1e6], [-80, 15, 1e6], [-80, 5, 1e6]])
    original = np.array([-100, 20, 1e6])  # held
    ax = plot.traces(signal, original, stacked=True, names=["Fz", "Cz", "Pz"], label="signal [uV]", dt=2.0)
    *lines, bar = ax.get_lines()
    drawn = np.stack([line.get_ydata() for line in lines], axis=1)
    middle = np.array([-80, 12.5, 1e6])
    np.testing.assert_allclose(drawn[:, :3], (signal - middle) / 44 + [0, 1, 2])
    np.testing.assert_allclose(drawn[:, 3:], np.broadcast_to((original - middle) / 44 + [0, 1, 2], (4, 3)))
    assert np.isnan(drawn).sum() == 1 and {line.get_color() for line in lines} == {lines[0].get_color()}
    assert rows(ax) == {0: "Fz", 1: "Cz", 2: "Pz"} and ax.get_ylim() == (-0.5, 2.5)
    assert (ax.get_ylabel(), ax.get_xlim()) == ("signal [uV]", (0, 8)) and texts(ax) == ["decoded", "original"]
    # The number next to the bar is its length in the unit of the signal.
    (text,) = ax.texts
    assert np.diff(bar.get_ydata()) * 44 == pytest.approx(20) and text.get_text() == "20"
    start, end = bar.get_ydata()
    assert text.get_position()[1] == pytest.approx((start + end) / 2) and min(bar.get_xdata()) > 1
    assert bar.get_transform() is not ax.transData and ax.get_yaxis_transform().transform((0, 1))[1] == (
        pytest.approx(ax.transData.transform((0, 1))[1])
    )


@pytest.mark.parametrize("scale", [3e-7, 0.7, 1.0, 9.0, 2e5])
@pytest.mark.parametrize("count", [1, 4, 200])
def test_scale_bar_is_round_and_as_long_as_it_says(scale, count):
    values = scale * np.linspace(-1, 1, 50)[:, None] * np.ones(count)
    ax = plot.traces(values, stacked=True, ax=blank())
    *lines, bar = ax.get_lines()
    per_row = np.ptp(values[:, 0]) / np.ptp(lines[-1].get_ydata())  # in the unit of the signal
    length = np.diff(bar.get_ydata()).item() * per_row
    assert length == pytest.approx(float(ax.texts[0].get_text()))
    assert f"{length:e}"[0] in "125" and 0.4 <= length / per_row / max(1, count / 16) <= 1
    assert len(rows(ax)) == min(count, len(rows(ax))) and rows(ax)[0] == "0"


@pytest.mark.parametrize("values", [np.full((4, 2), 3.0), np.full((4, 2), np.nan), np.array([[1, np.inf]] * 4)])
def test_stacked_traces_without_a_range(values):
    ax = plot.traces(values, stacked=True)
    *lines, bar = ax.get_lines()
    for i, line in enumerate(lines):
        expected = np.where(np.isfinite(values[:, i]), i, values[:, i])
        np.testing.assert_array_equal(line.get_ydata(), expected)
    assert ax.texts[0].get_text() == "1" and np.diff(bar.get_ydata()) == pytest.approx(1)
    ax.figure.savefig(io.BytesIO())


def test_scale_bar_is_within_the_figure():
    for make in (lambda: plt.figure().add_subplot(), lambda: plt.figure(layout="constrained").add_subplot()):
        ax = plot.traces(0.001 * random_spikes((50, 12)), stacked=True, ax=make())
        ax.figure.savefig(io.BytesIO())
        box = ax.texts[0].get_window_extent()
        assert ax.get_window_extent().x1 < box.x0 and box.x1 < ax.figure.bbox.width and box.y0 > 0


def chain():
    signal = 0.5 + 0.4 * np.sin(np.arange(200)[:, None] / [20, 30]).astype(np.float32)
    spiker = PoissonSpiker(max_freq=200.0, dt=0.5)
    spread = jnp.repeat(jnp.asarray(signal), 5, axis=1)
    spikes = spark.unroll(spiker, spread, spiker.init(spread[0]), key=jr.key(0))[0]["spikes"]
    readout = ExponentialIntegrator(num_outputs=2, saturation_freq=200.0, dt=0.5, tau=10.0, shuffle=False)
    decoded = spark.unroll(readout, spikes, readout.init(SpikeArray(spikes.spikes[0])))[0]["signal"]
    return signal, spikes, decoded


def test_round_trip():
    signal, spikes, decoded = chain()
    axes = plot.round_trip(signal, spikes, decoded, dt=0.5)
    top, middle, bottom = axes
    assert isinstance(axes, np.ndarray) and axes.shape == (3,)
    assert [ax.get_xlim() for ax in axes] == [(0, 100)] * 3
    bottom.set_xlim(20, 30)
    assert top.get_xlim() == middle.get_xlim() == (20, 30)
    assert [ax.get_xlabel() for ax in axes] == ["", "", "time [ms]"]
    assert [ax.get_ylabel() for ax in axes] == ["signal", "unit", "reconstruction"]
    np.testing.assert_allclose(np.stack([line.get_ydata() for line in top.get_lines()], axis=1), signal)
    np.testing.assert_array_equal(
        middle.get_lines()[0].get_xydata(), np.argwhere(np.asarray(spikes.value)) * [0.5, 1] + [0.25, 0]
    )
    shown = np.stack([line.get_ydata() for line in bottom.get_lines()], axis=1)
    np.testing.assert_allclose(shown, np.concatenate([decoded.value, signal], axis=1))
    assert texts(bottom)[-2:] == ["decoded", "original"]
    # The axes are in order from the top, and no label is outside of the figure.
    assert top.get_position().y0 > middle.get_position().y0 > bottom.get_position().y0
    top.figure.savefig(io.BytesIO())
    for ax in axes:
        box = ax.get_tightbbox()
        assert 0 <= box.x0 and box.x1 <= top.figure.bbox.width and 0 <= box.y0 and box.y1 <= top.figure.bbox.height


def test_round_trip_by_an_encoder():
    """The encoder makes the spikes, and its matched decoder makes the reconstruction."""
    encoder = PhaseSpiker(window=20.0, dt=2.0)
    signal = 0.5 + 0.3 * np.sin(np.arange(100) / 20)[:, None]
    top, middle, bottom = plot.round_trip(signal, encoder)
    spikes = spark.unroll(encoder, jnp.asarray(signal), encoder.init(jnp.ones(1)))[0]["spikes"]
    decoder = encoder.decoder()
    decoded = spark.unroll(decoder, spikes, decoder.init(spark.SpikeArray(spikes.spikes[0])))[0]["signal"].value
    np.testing.assert_allclose(bottom.get_lines()[0].get_ydata(), decoded[:, 0])
    assert bottom.get_xlim() == (0, 200) and len(middle.get_lines()[0].get_xdata()) == 10
    np.testing.assert_allclose(top.get_lines()[0].get_ydata(), signal[:, 0])


@pytest.mark.parametrize("cls", [DeltaSpiker, StepForwardSpiker, SendOnDeltaSpiker, MovingWindowSpiker])
def test_spikes_of_an_encoder_of_changes_are_up_and_down(cls):
    wave = 0.4 * np.sin(np.arange(100) / 10)[:, None]
    middle = plot.round_trip(wave, cls(threshold=0.01))[1]
    assert texts(middle) == ["up", "down"]
    (up, *_), (down, *_) = (line.get_xdata() for line in middle.get_lines())
    assert up < 10 and down > 16  # the wave rises until 16 ms
    assert texts(plot.round_trip(wave, cls(threshold=0.01), signs=("on", "off"))[1]) == ["on", "off"]


def test_signed_spikes_of_other_encoders_are_excitatory_and_inhibitory():
    wave = np.sin(np.arange(300) / 30)[:, None]
    encoder = PoissonSpiker(signed=True)
    top, middle, bottom = plot.round_trip(wave, encoder)
    assert texts(middle) == ["excitatory", "inhibitory"]
    spikes = encoder.unroll(wave.astype(np.float32), key=jr.key(0))[0]["spikes"]
    assert texts(plot.round_trip(wave, spikes, wave)[1]) == ["excitatory", "inhibitory"]
    assert texts(plot.round_trip(wave, spikes, wave, signs=("up", "down"))[1]) == ["up", "down"]


def test_round_trip_with_names():
    """The names are those of the signals, and of all axes with as many units."""
    names = [f"E{i}" for i in range(12)]
    wave = 0.4 * np.sin(np.arange(100) / 10)[:, None] * np.ones(12)
    axes = plot.round_trip(wave, StepForwardSpiker(), names=names, stacked=True)
    assert all(name == names[int(row)] for ax in axes for row, name in rows(ax).items())
    assert [ax.get_ylim() for ax in axes] == [(-0.5, 11.5)] * 3 and [len(ax.texts) for ax in axes] == [1, 0, 1]
    signal, spikes, decoded = chain()
    top, middle, bottom = plot.round_trip(signal, spikes, decoded, names=["a", "b"])
    assert texts(top) == ["a", "b"] and texts(bottom)[:2] == ["a", "b"] and middle.get_ylabel() == "unit"
    bottom = plot.round_trip(signal[:, :1], spikes, decoded, names=["a"])[2]
    assert texts(bottom) == ["signal 0", "signal 1"]


# Histograms.


def test_histogram_of_trials_intervals_and_lags():
    trials = random_spikes((90, 5))
    rate = measure.psth(trials, 20.0, dt=0.5)
    intervals = measure.interval_histogram(trials[:, 0], 0.5, 4.0, dt=0.5)
    pairs = measure.cross_correlogram(trials[:, 0], trials[:, 1], 3.0, dt=0.5)
    cases = {
        "time": (rate, 20.0, 20.0 * np.arange(3), "time [ms]", "rate [Hz]"),
        "interval": (intervals, 0.5, 0.5 * np.arange(9), "inter-spike interval [ms]", "number of intervals"),
        # The bin of lag k is from k - 1/2 to k + 1/2 steps.
        "lag": (pairs, 0.5, 0.5 * np.arange(-6.5, 7), "lag [ms]", "number of pairs of spikes"),
    }
    assert float(pairs[6]) == (trials[:, 0] & trials[:, 1]).sum()
    assert float(rate[0]) == pytest.approx(trials[:40].mean() * 2000)
    for over, (values, bin, edges, across, up) in cases.items():
        ax = plot.histogram(values, bin, over=over, ax=blank())
        (patch,) = ax.patches
        heights, drawn, baseline = patch.get_data()
        np.testing.assert_array_equal(heights, values)
        np.testing.assert_allclose(drawn, edges)
        assert baseline == 0 and patch.get_fill() and ax.get_legend() is None
        assert (ax.get_xlabel(), ax.get_ylabel(), ax.get_xlim()) == (across, up, (edges[0], edges[-1]))
        assert ax.get_ylim()[0] < 0 and ax.get_ylim()[1] > values.max()


def test_histogram_of_several_units():
    values = np.arange(12).reshape(4, 3)
    ax = plot.histogram(values, 2, over="time", names=["a", "b", "c"])
    assert ax is plt.gca() and texts(ax) == ["a", "b", "c"]
    for i, patch in enumerate(ax.patches):
        np.testing.assert_array_equal(patch.get_data().values, values[:, i])
        assert not patch.get_fill() and patch.get_data().baseline is None
        assert patch.get_edgecolor() == to_rgba(ax.get_legend().legend_handles[i].get_color())
    assert len({patch.get_edgecolor() for patch in ax.patches}) == 3
    assert texts(plot.histogram(values.reshape(2, 2, 3), 2.0, over="time", ax=blank()))[-1] == "unit 5"


@pytest.mark.parametrize("values, peak, low", [([1, np.nan, 3], 3, 0), ([np.nan] * 3, 1, 0), ([np.inf, -2, 1], 1, -2)])
def test_histogram_has_gaps_where_values_are_not_finite(values, peak, low):
    ax = plot.histogram(np.array(values), 1.0, over="lag")
    heights = ax.patches[0].get_data().values
    np.testing.assert_array_equal(heights, np.where(np.isfinite(values), values, np.nan))
    bottom, top = ax.get_ylim()
    assert bottom < low and peak < top < peak + 0.2 * (peak - low)
    ax.figure.savefig(io.BytesIO())


@pytest.mark.parametrize("dtype", [">f4", ">i2"])
def test_round_trip_of_a_signal_in_the_other_byte_order(dtype):
    signal = np.repeat([0, 1], 10)
    top, *_ = plot.round_trip(signal.astype(dtype), PhaseSpiker(window=2.0))
    np.testing.assert_array_equal(top.get_lines()[0].get_ydata(), signal)


def test_search():
    """One point per setting, the best score up to each number of spikes, and the name of the best setting."""
    table = {"tau": np.array([1.0, 2.0, 3.0, 4.0]), "score": np.array([5.0, np.nan, 3.0, 9.0])}
    table |= {"spikes_per_s": np.array([20.0, 15.0, 10.0, 30.0]), "delay": np.zeros(4)}
    points, edge, best = plot.search(SearchResult(None, 3, table)).get_lines()
    np.testing.assert_array_equal(points.get_data(), [table["spikes_per_s"], table["score"]])
    np.testing.assert_array_equal(edge.get_data(), [[10, 15, 20, 30], [3, 3, 5, 9]])
    np.testing.assert_array_equal(np.ravel(best.get_data()), [30, 9])
    assert best.get_label() == "tau 4" and points.get_label() == "4 settings"


def test_comparison():
    """One line per code with a score, up to twice the limit, and a dot for each chosen setting."""
    table = {"spikes_per_s": np.array([40.0, 10.0, 20.0, 90.0, 0.0]), "score": np.array([9.0, 5.0, 3.0, np.nan, -1.0])}
    more, none = {name: column + 60 for name, column in table.items()}, np.zeros(0)
    first = CodeResult("first", None, None, {}, none, none, table, snr=9.0, spikes_per_s=40.0)
    second = CodeResult("second", None, None, {}, none, none, more, reason="too many")
    third = CodeResult("third", None, None, {}, none, none, {}, reason="not compared")
    result = Comparison((first, second, third), 50.0, 0.05, 1.0)
    ax = plot.comparison(result)
    limit, line, dot, other = ax.get_lines()
    np.testing.assert_array_equal(line.get_data(), [[10, 40, 100], [5, 9, 9]])
    np.testing.assert_array_equal(np.ravel(dot.get_data()), [40, 9])
    np.testing.assert_array_equal(other.get_data(), [[60, 70, 100, 100], [59, 65, 69, 69]])
    assert list(limit.get_xdata()) == [50, 50]
    assert [each.get_text() for each in ax.get_legend().get_texts()] == ["first", "second"]
    assert line.get_color() != other.get_color() and ax.get_ylim()[0] == 0
    assert plot.comparison(Comparison((second,), None, 0.05, 1.0)).get_lines()


def test_round_trip_into_given_axes_with_another_number_of_signals():
    signal, spikes, decoded = chain()
    given = Figure().subplots(3, sharex=True)
    axes = plot.round_trip(signal[:, 0], spikes, decoded, axes=list(given))
    assert list(axes) == list(given) and plt.get_fignums() == []
    assert len(axes[2].get_lines()) == 2 and "original" not in texts(axes[2])


# Encoders.


def linear_rate(x, max_freq, cd, tau):
    gain = 1 / (1 - np.exp(-(1000 / max_freq - cd) / tau))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(gain * x > 1, 1000 / (cd + tau * np.log(gain * x / (gain * x - 1))), 0)


def bump(x, glue, mins, maxs, resolution, sigma=np.sqrt(1 / 32)):
    u = np.clip((x - mins) / (maxs - mins), 0, 1)[:, None]
    if glue:
        d = np.sin(np.pi * (np.arange(resolution) / resolution - u))
    else:
        d = np.tanh(np.pi * (np.arange(resolution) / (resolution - 1) - u))
    return np.exp(-(d**2) / (2 * sigma**2))


def test_transfer_curve_of_the_poisson_spiker():
    ax = plot.transfer_curve(PoissonSpiker(max_freq=400.0, dt=0.5), duration=5000.0)
    measured, law = ax.get_lines()
    x, rate = measured.get_data()
    np.testing.assert_allclose(x, np.linspace(0, 1, 51))
    p = x * 400 * 0.5 / 1000
    deviation = np.sqrt(p * (1 - p) / 10_000) * 2000
    assert (np.abs(rate - 400 * x) <= 4 * deviation).all() and np.abs(rate - 400 * x)[1:].max() > 0
    np.testing.assert_allclose(law.get_ydata(), 400 * law.get_xdata(), rtol=1e-5)
    assert (law.get_xdata()[0], law.get_xdata()[-1]) == (0, 1)
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("signal [0 to 1]", "rate [Hz]")
    assert texts(ax) == ["measured, 5 s", "closed form"]
    assert ax.get_ylim()[0] < 0 and ax.get_ylim()[1] > rate.max()


@pytest.mark.parametrize("max_freq", [120.0, jnp.asarray(120.0)], ids=["constant", "array"])
def test_transfer_curve_of_the_linear_spiker(max_freq):
    signals = np.array([-0.5, 0.0, 0.2, 0.5, 0.9, 1.0, 1.5])
    measured, law = plot.transfer_curve(
        LinearSpiker(max_freq=max_freq, tau=20.0, cd=3.0, dt=0.7),
        signals=FloatArray(jnp.asarray(signals, jnp.float32)),
        duration=3500,
    ).get_lines()
    np.testing.assert_allclose(measured.get_xdata(), signals, rtol=1e-6)
    expected = linear_rate(signals.clip(0, 1), 120, 3, 20)
    assert (np.abs(measured.get_ydata() - expected) <= 1e-3 * expected + 1000 / 3500).all() and expected[2] == 0
    x = law.get_xdata()
    np.testing.assert_allclose(law.get_ydata(), linear_rate(x.clip(0, 1), 120, 3, 20), rtol=1e-4)


def test_decoded_transfer_curve():
    """The reconstruction and the signal, which differ by at most half a step of a cycle, on a circle."""
    ax = plot.transfer_curve(PhaseSpiker(window=10.0), decoded=True, duration=20.0)
    decoded, signal = ax.get_lines()
    x, y = decoded.get_data()
    turns = np.abs(y - x)
    assert np.minimum(turns, 1 - turns).max() <= 0.05 + 1e-6 and np.abs(y - x).max() > 0.9
    np.testing.assert_array_equal(*signal.get_data())
    assert ax.get_ylabel() == "decoded signal" and texts(ax) == ["decoded after 0.02 s", "signal"]


@pytest.mark.sweep
@pytest.mark.parametrize("glue", with_sweep(1, 0))
@pytest.mark.parametrize("cls", with_sweep(TopologicalLinearSpiker, TopologicalPoissonSpiker))
def test_transfer_curve_of_topological_spikers_is_the_mean_over_the_units(cls, glue):
    module = cls(mins=-2.0, maxs=3.0, resolution=8, glue=glue, max_freq=200.0)
    ax = plot.transfer_curve(module, duration=5000.0)
    measured, law = ax.get_lines()
    rate = (lambda a: linear_rate(a, 200, 2, 100)) if cls is TopologicalLinearSpiker else (lambda a: 200 * a)
    for line in (measured, law):
        x, y = line.get_data()
        assert (x[0], x[-1]) == (-2, 3)
        expected = rate(bump(x, glue, -2, 3, 8)).mean(1)
        # One spike per unit, or 4.5 standard deviations of a mean of 8.
        bound = 0.2 if cls is TopologicalLinearSpiker else 4.5 * np.sqrt(expected / 8 / 5)
        assert (np.abs(y - expected) <= (bound + 1e-3 * expected if line is measured else 1e-3 * expected)).all()
    assert ax.get_xlabel() == "signal [-2 to 3]" and texts(ax)[0] == "measured, 5 s, mean of 8 units"


@pytest.mark.sweep
@pytest.mark.parametrize("cls", [TopologicalLinearSpiker, TopologicalPoissonSpiker])
def test_measurement_does_not_depend_on_its_chunks(cls, monkeypatch):
    module = cls(resolution=4)
    run = lambda: plot.transfer_curve(module, duration=300, ax=blank()).get_lines()[0].get_ydata()
    whole = run()
    monkeypatch.setattr(plot._encoders, "_CHUNK", 51 * 4 * 77)  # 77 + 77 + 77 + 69 steps
    np.testing.assert_array_equal(run(), whole)


def test_key():
    module = PoissonSpiker()
    run = lambda **key: plot.transfer_curve(module, duration=300, ax=blank(), **key).get_lines()[0].get_ydata()
    np.testing.assert_array_equal(run(), run(key=jr.key(0)))
    assert (run() != run(key=jr.key(1))).any()


def test_lines_of_an_earlier_plot_are_not_in_the_legend():
    ax = plot.rates(SPIKES, lines=True)
    assert texts(plot.rates(SPIKES[:, 0], lines=True, ax=ax)) == ["unit 0", "unit 1"]


class Every3rd(InputInterface[InputInterfaceConfig, Any]):
    """Fires at every third step, for any signal."""

    def __init__(self):
        self.config = InputInterfaceConfig(surrogate=spark.surrogate.ATan(), dt=2.0)

    def build(self, input_specs, *, key=None):
        return jnp.zeros(input_specs["signal"].shape)

    def step(self, payload, state, *, key):
        return {"spikes": SpikeArray((state == 2).astype(payload.dtype))}, (state + 1) % 3


def test_transfer_curve_of_an_interface_without_closed_form():
    ax = plot.transfer_curve(Every3rd(), signals=np.array([0.1, 0.2]), duration=600.0)
    (line,) = ax.get_lines()
    np.testing.assert_allclose(line.get_ydata(), 1000 / 6)
    assert texts(ax) == ["measured, 0.6 s"]


@pytest.mark.parametrize("cls", [TopologicalPoissonSpiker, ReceptiveFields])
def test_tuning_curves_of_a_range_without_0_give_no_warning(cls):
    _outside._warned.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot.tuning_curves(cls(mins=1.0, maxs=2.0, resolution=5))


@pytest.mark.parametrize("glue", [0, 1])
@pytest.mark.parametrize("rate", [False, True])
def test_tuning_curves(glue, rate):
    module = TopologicalLinearSpiker(mins=-2.0, maxs=3.0, resolution=8, glue=glue, max_freq=200.0, sigma=0.3)
    ax = plot.tuning_curves(module, rate=rate)
    (lines,) = ax.collections
    for unit, curve in enumerate(lines.get_segments()):
        x, y = np.asarray(curve).T
        assert (x[0], x[-1]) == (-2, 3)
        expected = bump(x, glue, -2, 3, 8, 0.3)[:, unit]
        expected = linear_rate(expected, 200, 2, 100) if rate else expected
        # The slope of the rate is infinite at the threshold.
        np.testing.assert_allclose(y, expected, rtol=1e-3, atol=0.5 if rate else 1e-6)
        assert abs(x[y.argmax()] - (-2 + 5 * unit / (8 if glue else 7))) < 0.01
    assert len(lines.get_segments()) == 8 and len(ax.lines) == 0
    np.testing.assert_array_equal(lines.get_array(), np.arange(8))
    assert lines.colorbar.ax.get_ylabel() == "unit"
    assert ax.get_xlabel() == "signal [-2 to 3]"
    assert ax.get_ylabel() == ("rate [Hz]" if rate else "activity [0 to 1]")
    assert ax.get_xlim() == (-2, 3) and ax.get_ylim()[1] > (200 if rate else 1)


# Styles.

DRAW = {
    "raster": lambda: plot.raster(SpikeArray(SPIKES, SPIKES)),
    "raster-dense": lambda: plot.raster(random_spikes((300, 1000)) * np.where(np.arange(1000) % 2, 1, -1)),
    "rates": lambda: plot.rates(SPIKES),
    "rates-lines": lambda: plot.rates(SPIKES, lines=True),
    "traces": lambda: plot.traces(random_spikes((9, 2)) * 1.0, np.ones(2)),
    "traces-stacked": lambda: plot.traces(random_spikes((9, 2)) * 1.0, np.ones(2), stacked=True),
    "histogram": lambda: plot.histogram(np.arange(6).reshape(3, 2), 1.0, over="lag"),
    "transfer_curve": lambda: plot.transfer_curve(LinearSpiker(), duration=100),
    "tuning_curves": lambda: plot.tuning_curves(TopologicalLinearSpiker(resolution=5)),
    "round_trip": lambda: plot.round_trip(*chain())[2],
}


def contrast(color, other):
    """The contrast ratio of WCAG 2, from 1 to 21."""

    def luminance(color):
        rgb = np.asarray(to_rgb(color))
        return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4) @ [0.2126, 0.7152, 0.0722]

    low, high = sorted([luminance(color), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("name", DRAW)
@pytest.mark.parametrize("style", with_sweep("dark_background", "default"))
def test_legible_in_light_and_dark_style(name, style):
    with plt.style.context(style):
        ax = DRAW[name]()
        want = {key: matplotlib.rcParams[key] for key in ("text.color", "axes.labelcolor")}
        cycle = {to_rgba(color) for color in matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]}
    for each in ax.figure.axes:
        for label in (each.xaxis.label, each.yaxis.label):
            assert label.get_color() == want["axes.labelcolor"]
        if each.get_legend():
            assert {text.get_color() for text in each.get_legend().get_texts()} == {want["text.color"]}
        for line in each.get_lines():
            # Colours are numbers, because a name would be looked up when the figure is saved, here in another style.
            assert line.get_color() in cycle or line.get_color() == want["text.color"]
            assert contrast(line.get_color(), each.get_facecolor()) > 1.5
    for lines in ax.collections:
        lines.update_scalarmappable()
        assert min(contrast(color, ax.get_facecolor()) for color in lines.get_edgecolor()) > 1.5
    ax.figure.savefig(io.BytesIO())
    for each in ax.figure.axes:
        if each.get_legend():  # within the figure
            box = each.get_legend().get_window_extent()
            assert box.x0 > 0 and box.x1 < ax.figure.bbox.width and box.y1 < ax.figure.bbox.height


def test_longest_legend_fits():
    ax = plot.traces(np.ones((4, 10)), np.ones(10))
    ax.figure.savefig(io.BytesIO())
    box = ax.get_legend().get_window_extent()
    assert len(texts(ax)) == 12 and box.x0 > 0 and box.y1 < ax.figure.bbox.height
    assert box.y0 >= ax.get_window_extent().y1  # the legend covers no line


# Errors.

ONES = np.ones((4, 3))
BOTH = SpikeArray(np.ones((4, 3)))
SIGNAL = FloatArray(np.ones((4, 3), np.float32))


@pytest.mark.parametrize(
    "draw, error, match",
    [
        (lambda: plot.search({"score": ONES}), TypeError, "search: `result` must be a SearchResult .* got dict"),
        (lambda: plot.comparison(ONES), TypeError, "comparison: `result` must be a Comparison .* got ndarray"),
        (
            lambda: plot.round_trip(ONES, PhaseSpiker(), ONES),
            TypeError,
            "round_trip: `reconstruction` must be None if `spikes` is an encoder",
        ),
        (lambda: plot.round_trip(ONES, PhaseSpiker(), dt=1.0), TypeError, "round_trip: `dt` must be None if"),
        (
            lambda: plot.raster([0, 1]),
            TypeError,
            r"raster: `spikes` must be an array of spikes or a SpikeArray, got \[0, 1\]",
        ),
        (
            lambda: plot.raster(SIGNAL),
            TypeError,
            "raster: `spikes` must be an array of spikes or a SpikeArray, got FloatArray",
        ),
        (lambda: plot.raster(np.ones(3, "m8[s]")), TypeError, "raster: `spikes` must hold .* dtype timedelta64"),
        (
            lambda: plot.round_trip(np.ones(3), spark.Sequential([PhaseSpiker()])),
            TypeError,
            "round_trip: `spikes` must be an array of spikes or a SpikeArray, got Sequential",
        ),
        (lambda: plot.raster(np.ones(3, complex)), TypeError, "raster: `spikes` must hold .* dtype complex128"),
        (lambda: plot.raster(jr.split(jr.key(0))), TypeError, "raster: `spikes` must hold .* dtype key"),
        (
            lambda: plot.raster(np.asarray(1.0)),
            ValueError,
            r"raster: `spikes` must have a leading axis of time, got a scalar",
        ),
        (
            lambda: plot.raster(np.ones((0, 3))),
            ValueError,
            r"raster: `spikes` .* without an empty axis, got shape \(0, 3\)",
        ),
        (
            lambda: plot.raster(np.ones((3, 0))),
            ValueError,
            r"raster: `spikes` .* without an empty axis, got shape \(3, 0\)",
        ),
        (
            lambda: plot.raster(ONES, dt=0),
            ValueError,
            r"raster: `dt` must be a number \[ms\], positive and finite, got 0",
        ),
        (
            lambda: plot.raster(ONES, dt=np.nan),
            ValueError,
            r"raster: `dt` must be a number \[ms\], positive and finite, got nan",
        ),
        (
            lambda: plot.raster(ONES, dt="1"),
            TypeError,
            r"raster: `dt` must be a number \[ms\], positive and finite, got '1'",
        ),
        (lambda: plot.raster(ONES, dt=None), TypeError, "raster: `dt` must be a number .* got None"),
        (lambda: plot.raster(ONES, dt=True), TypeError, "raster: `dt` must be a number .* got True"),
        (lambda: plot.raster(ONES, dt=ONES), TypeError, "raster: `dt` must be a number"),
        (lambda: plot.raster(ONES, ax=Figure()), TypeError, "raster: `ax` must be Matplotlib axes, got Figure"),
        (
            lambda: plot.rates(ONES, window=-1),
            ValueError,
            r"rates: `window` must be a number \[ms\], positive and finite",
        ),
        (lambda: plot.rates(ONES, dt=np.inf), ValueError, r"rates: `dt` must be a number \[ms\], positive and finite"),
        (
            lambda: plot.spectrogram(BOTH),
            TypeError,
            "spectrogram: `signal` must be an array of numbers or a FloatArray, got SpikeArray",
        ),
        (
            lambda: plot.spectrogram(ONES, np.ones((4, 2))),
            ValueError,
            r"spectrogram: `spikes` must have the shape of `signal`, \(4, 3\), got \(4, 2\)",
        ),
        (
            lambda: plot.spectrogram(ONES, centres=np.ones(4)),
            ValueError,
            r"spectrogram: `centres` must have one frequency per channel, shape \(3,\), got \(4,\)",
        ),
        (lambda: plot.spectrogram(np.ones((3, 0))), ValueError, "spectrogram: `signal` .* without an empty axis"),
        (lambda: plot.spectrogram(ONES, ax=1), TypeError, "spectrogram: `ax` must be Matplotlib axes, got int"),
        (lambda: plot.rates(None), TypeError, "rates: `spikes` must be an array of spikes or a SpikeArray, got None"),
        (lambda: plot.rates(np.ones((4, 11)), lines=True), ValueError, "rates: `spikes` .* at most 10 units.* got 11"),
        (lambda: plot.rates(ONES, names=["a"]), ValueError, "rates: `names` must have one name per unit, 3, got 1"),
        (
            lambda: plot.raster(ONES, names="abc"),
            TypeError,
            r"raster: `names` must be a list of one name per unit, such as \['Fz', 'Cz'\], got 'abc'",
        ),
        (lambda: plot.raster(ONES, names={"a", "b", "c"}), TypeError, "raster: `names` must be a list of one name"),
        (
            lambda: plot.raster(np.ones((4, 3, 2)), names=["a", "b", "c"]),
            ValueError,
            "raster: `names` must have one name per unit, 6, got 3. The units are in the order of the flattened axes",
        ),
        (
            lambda: plot.raster(ONES, signs="ud"),
            TypeError,
            r"raster: `signs` must be two names, .* such as \('up', 'down'\), got 'ud'",
        ),
        (lambda: plot.raster(ONES, signs=("up",)), TypeError, r"raster: `signs` must be two names, .* got \('up',\)"),
        (lambda: plot.raster(ONES, signs=None), TypeError, "raster: `signs` must be two names, .* got None"),
        (lambda: plot.spectrogram(ONES, ONES, signs=(1, -1)), TypeError, r"spectrogram: `signs` must be .* \(1, -1\)"),
        (lambda: plot.traces(ONES, names=["a"]), ValueError, "traces: `names` must have one name per signal, 3, got 1"),
        (
            lambda: plot.round_trip(ONES, ONES, ONES, names=[]),
            ValueError,
            "round_trip: `names` .* per signal, 3, got 0",
        ),
        (
            lambda: plot.round_trip(ONES, ONES, ONES, signs=1),
            TypeError,
            "round_trip: `signs` must be two names.* got 1",
        ),
        (
            lambda: plot.histogram([1.0], 1.0, over="time"),
            TypeError,
            "histogram: `values` must be an array of numbers or a FloatArray, got .* An array will do",
        ),
        (
            lambda: plot.histogram(np.ones((0, 3)), 1.0, over="time"),
            ValueError,
            r"histogram: `values` must be of shape \(bins, \*units\) without an empty axis, got shape \(0, 3\)",
        ),
        (
            lambda: plot.histogram(np.asarray(1.0), 1.0, over="time"),
            ValueError,
            r"histogram: `values` .* got shape \(\)",
        ),
        (
            lambda: plot.histogram(np.ones((4, 11)), 1.0, over="time"),
            ValueError,
            "histogram: `values` must have at most 10 units, .* got 11",
        ),
        (
            lambda: plot.histogram(ONES, 0, over="time"),
            ValueError,
            r"histogram: `bin` must be a number \[ms\], positive and finite, got 0",
        ),
        (
            lambda: plot.histogram(ONES, 1.0, over="trials"),
            ValueError,
            "histogram: `over` must be one of 'time', 'interval', 'lag', got 'trials'",
        ),
        (lambda: plot.histogram(ONES, 1.0, over=None), ValueError, "histogram: `over` must be one of .* got None"),
        (
            lambda: plot.histogram(ONES, 1.0, over="lag"),
            ValueError,
            "histogram: `values` must have an odd number of bins for `over='lag'`, .* got 4",
        ),
        (
            lambda: plot.histogram(ONES, 1.0, over="time", names=["a"]),
            ValueError,
            "histogram: `names` must have one name per unit, 3, got 1",
        ),
        (lambda: plot.histogram(ONES, 1.0, over="time", ax=1), TypeError, "histogram: `ax` must be Matplotlib axes"),
        (lambda: plot.rates(ONES, ax=1), TypeError, "rates: `ax` must be Matplotlib axes, got int"),
        (
            lambda: plot.traces(BOTH),
            TypeError,
            "traces: `decoded` must be an array of numbers or a FloatArray, got SpikeArray",
        ),
        (lambda: plot.traces(ONES, BOTH), TypeError, "traces: `original` must be an array of numbers or a FloatArray"),
        (
            lambda: plot.traces(np.asarray(1.0)),
            ValueError,
            r"traces: `decoded` must have a leading axis of time, got a scalar",
        ),
        (lambda: plot.traces(np.ones((4, 11))), ValueError, "traces: `decoded` .* at most 10 signals.*stacked=True"),
        (
            lambda: plot.traces(ONES, np.ones((4, 2))),
            ValueError,
            r"traces: `original` must be of shape \(4, 3\), like `decoded`, or \(3,\) .* got shape \(4, 2\)",
        ),
        (lambda: plot.traces(ONES, dt=-1.0), ValueError, r"traces: `dt` must be a number \[ms\], positive and finite"),
        (lambda: plot.traces(ONES, ax="ax"), TypeError, "traces: `ax` must be Matplotlib axes, got str"),
        (
            lambda: plot.round_trip(ONES, np.ones((5, 2)), ONES),
            ValueError,
            "round_trip: `signal`, `spikes` and `reconstruction` must have the same number of steps, got 4, 5 and 4",
        ),
        (
            lambda: plot.round_trip(BOTH, BOTH, ONES),
            TypeError,
            "round_trip: `signal` must be an array of numbers or a FloatArray",
        ),
        (
            lambda: plot.round_trip(ONES, SIGNAL, ONES),
            TypeError,
            "round_trip: `spikes` must be an array of spikes or a SpikeArray",
        ),
        (
            lambda: plot.round_trip(ONES, ONES, None),
            TypeError,
            "round_trip: `reconstruction` must be an array of numbers or a FloatArray",
        ),
        (lambda: plot.round_trip(ONES, ONES, np.ones((4, 11))), ValueError, "round_trip: `reconstruction` .* at most"),
        (
            lambda: plot.round_trip(ONES, ONES, ONES, dt=0),
            ValueError,
            r"round_trip: `dt` must be a number \[ms\], positive and finite",
        ),
        (lambda: plot.round_trip(ONES, ONES, ONES, axes=blank()), ValueError, "round_trip: `axes` must be three axes"),
        (lambda: plot.round_trip(ONES, ONES, ONES, axes=[1, 2, 3]), TypeError, "round_trip: `axes` must be Matplotlib"),
        (
            lambda: plot.transfer_curve(ExponentialIntegrator(num_outputs=2)),
            TypeError,
            "transfer_curve: `interface` must be an input interface, got ExponentialIntegrator",
        ),
        (
            lambda: plot.transfer_curve(PoissonSpiker(max_freq=(10.0, 20.0))),
            ValueError,
            r"transfer_curve: `interface` must have scalar parameters.*`max_freq` of shape \(2,\)",
        ),
        (
            lambda: plot.transfer_curve(PoissonSpiker(), signals=ONES),
            ValueError,
            r"transfer_curve: `signals` must be finite and of shape \(n,\) .* got shape \(4, 3\)",
        ),
        (
            lambda: plot.transfer_curve(PoissonSpiker(), signals=np.array([0.1, np.nan])),
            ValueError,
            "transfer_curve: `signals` must be finite .* got values that are not finite",
        ),
        (
            lambda: plot.transfer_curve(PoissonSpiker(), signals=[0.1]),
            TypeError,
            "transfer_curve: `signals` must be an array of numbers or a FloatArray, got .* An array will do",
        ),
        (lambda: plot.transfer_curve(PoissonSpiker(), duration=0), ValueError, "transfer_curve: `duration` must be"),
        (lambda: plot.transfer_curve(PoissonSpiker(), ax=1), TypeError, "transfer_curve: `ax` must be Matplotlib"),
        (
            lambda: plot.tuning_curves(PoissonSpiker()),
            TypeError,
            "tuning_curves: `interface` must be a topological encoder, or ReceptiveFields, got PoissonSpiker",
        ),
        (
            lambda: plot.tuning_curves(TopologicalPoissonSpiker(mins=(0.0, -1.0))),
            ValueError,
            r"tuning_curves: `interface` must have scalar parameters.*`mins` of shape \(2,\)",
        ),
        (
            lambda: plot.tuning_curves(TopologicalPoissonSpiker(), ax=1),
            TypeError,
            "tuning_curves: `ax` must be Matplotlib axes",
        ),
    ],
)
def test_bad_arguments(draw, error, match):
    with pytest.raises(error, match=match):
        draw()
    assert plt.get_fignums() == []  # no unfinished figure
