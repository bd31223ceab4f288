"""The same bits by every compiler and on every processor; errors of functions against mpmath and exact fractions."""

import ctypes
import hashlib
import importlib.util
import platform
import shutil
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy.special import erf

HERE = Path(__file__).parent
FLAGS = ("-ffp-contract=off", "-fno-math-errno", "-fno-trapping-math", "-Wno-psabi")
ZIG = (sys.executable, "-m", "ziglang", "cc")
INTEL = pytest.mark.skipif(platform.machine() != "x86_64", reason="the flags are of x86-64")
# Of what golden.c prints.
GOLDEN = "8edc3d734827b941f9ab1487f43555a2c0b55f425a229463b348065353f16035"
REALS = {"float": np.float32, "double": np.float64}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """Compiles a C file of this folder, and returns the path of what came out."""

    def compiled(name, real, *command, last=()):
        out = tmp_path_factory.mktemp("compiled") / "out"
        what = f"-DREAL={real}", "-o", str(out), str(HERE / name), "-lm"
        subprocess.run([*command, *FLAGS, *last, *what], check=True)
        return out

    return compiled


def hash_of(*command):
    return hashlib.sha256(subprocess.run(command, check=True, capture_output=True).stdout).hexdigest()


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(("cc", "-O3", "-march=native"), id="this processor"),
        pytest.param(("cc", "-O3", "-march=x86-64"), id="SSE2", marks=INTEL),
        pytest.param(("cc", "-O0", "-march=x86-64-v3"), id="AVX2 without optimisation", marks=INTEL),
        pytest.param(("cc", "-O2", "-march=x86-64-v3"), id="AVX2", marks=INTEL),
        pytest.param((*ZIG, "-O3"), id="Clang", marks=INTEL),
        pytest.param((*ZIG, "-O3", "-march=x86_64_v3"), id="Clang AVX2", marks=INTEL),
    ],
)
def test_networks_train_to_the_same_bits(compiled, command):
    """Every kind of layer, activation and optimizer; dropout, decay, and lanes that are left over."""
    assert hash_of(str(compiled("golden.c", "float", *command))) == GOLDEN


@pytest.mark.skipif("avx512f" not in Path("/proc/cpuinfo").read_text(), reason="this processor has no AVX-512")
def test_networks_train_to_the_same_bits_with_avx_512(compiled):
    assert hash_of(str(compiled("golden.c", "float", "cc", "-O3", "-march=x86-64-v4"))) == GOLDEN


@pytest.mark.skipif(not shutil.which("qemu-aarch64"), reason="qemu-user is not here; `make emulator` installs it")
def test_networks_train_to_the_same_bits_on_arm64(compiled):
    program = compiled("golden.c", "float", *ZIG, "-target", "aarch64-linux-musl", "-static", "-O3")
    assert hash_of("qemu-aarch64", str(program)) == GOLDEN


def test_the_golden_hash_sees_a_fused_product(compiled):
    """With contraction a compiler may round once where the code says twice."""
    program = compiled("golden.c", "float", "cc", "-O3", "-march=native", last=["-ffp-contract=fast"])
    fuses = "fma" in Path("/proc/cpuinfo").read_text() or platform.machine() == "aarch64"
    assert (hash_of(str(program)) != GOLDEN) == fuses


def called(library, name, *arrays):
    out = np.empty_like(arrays[0])
    pointers = (ctypes.c_void_p(array.ctypes.data) for array in (*arrays, out))
    getattr(library, name)(*pointers, ctypes.c_long(len(out)))
    return out


@pytest.fixture(scope="module")
def libraries(compiled):
    """The functions by precision."""
    flags = "cc", "-O3", "-march=native", "-fPIC", "-shared"
    return {real: ctypes.CDLL(str(compiled("functions.c", real, *flags))) for real in REALS}


@pytest.fixture(params=REALS)
def functions(request, libraries):
    return libraries[request.param], REALS[request.param]


RANGES = {"exp": (-85.0, 88.0), "tanh": (-10.0, 10.0), "erf": (-4.5, 4.5), "log": (0.5, 12.0)}


@pytest.mark.parametrize("name", RANGES)
def test_functions_are_within_two_units_in_the_last_place(functions, name):
    library, real = functions
    rng = np.random.default_rng(0)
    low, high = RANGES[name]
    near = (
        rng.choice([-1, 1], 3200) * 10.0 ** rng.uniform(-6, 0, 3200) if name != "log" else rng.uniform(0.9, 1.1, 3200)
    )
    x = np.concatenate([rng.uniform(low, high, 3200), near]).astype(real)
    found = called(library, f"apply_{name}", x)
    with mpmath.workprec(120):
        true = [getattr(mpmath, name)(mpmath.mpf(float(value))) for value in x]
        errors = [
            abs(mpmath.mpf(float(got)) - want) / mpmath.mpf(float(np.spacing(np.abs(got))))
            for got, want in zip(found, true, strict=True)
        ]
    assert max(errors) < 2


@pytest.mark.parametrize(
    ("name", "true"), [("exp", np.exp), ("tanh", np.tanh), ("erf", erf), ("log", np.log)], ids=list(RANGES)
)
def test_in_single_precision_so_are_a_million_values(libraries, name, true):
    rng = np.random.default_rng(1)
    x = np.concatenate([rng.uniform(*RANGES[name], 1 << 19), rng.uniform(0.5, 1, 1 << 19)]).astype(np.float32)
    found = called(libraries["float"], f"apply_{name}", x)
    error = np.abs(found - true(x.astype(np.float64))) / np.spacing(np.abs(found)).astype(np.float64)
    assert error.max() < 2


def test_at_the_ends_functions_are_what_ieee_says(functions):
    library, real = functions
    x = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-40, -1e-40, 1e4, -1e4] + [0.0] * 7, real)
    tiny = real(1e-40)
    exp, tanh, bell = (called(library, f"apply_{name}", x) for name in ("exp", "tanh", "erf"))
    np.testing.assert_array_equal(exp[:9], np.array([np.nan, np.inf, 0, 1, 1, 1, 1, np.inf, 0], real))
    np.testing.assert_array_equal(tanh[:9], np.array([np.nan, 1, -1, 0, -0.0, tiny, -tiny, 1, -1], real))
    assert np.isnan(bell[0])
    np.testing.assert_array_equal(bell[[1, 2, 3, 4, 7, 8]], np.array([1, -1, 0, -0.0, 1, -1], real))
    assert np.signbit(tanh[4])
    assert np.signbit(bell[4])
    assert np.isnan(called(library, "apply_log", x)[0])


@pytest.mark.parametrize("level", ["native", pytest.param("x86-64", marks=INTEL)])
def test_a_product_and_a_sum_are_rounded_once(compiled, level):
    """Also where there is no instruction for it, and where nearly all is lost in the sum."""
    library = ctypes.CDLL(str(compiled("functions.c", "float", "cc", "-O3", f"-march={level}", "-fPIC", "-shared")))
    rng = np.random.default_rng(2)
    a, b = (rng.normal(size=4096) * 10.0 ** rng.uniform(-12, 8, 4096) for _ in range(2))
    c = -a * b * (1 + rng.normal(size=4096) * 10.0 ** rng.uniform(-9, 1, 4096))
    a, b, c = (values.astype(np.float32) for values in (a, b, c))
    c[:1024] = -(a[:1024] * b[:1024])
    # Half way between two numbers of single precision, but for the last bit of double precision.
    a[1024:1040], b[1024:1040], c[1024:1040] = 1 + 2.0**-12, 1 + 2.0**-12, 2.0**-40
    found = called(library, "fused", a, b, c)
    for x, y, z, got in zip(a.tolist(), b.tolist(), c.tolist(), found, strict=True):
        exact = Fraction(x) * Fraction(y) + Fraction(z)
        below, above = np.nextafter(got, np.float32(-np.inf)), np.nextafter(got, np.float32(np.inf))
        apart = abs(Fraction(float(got)) - exact)
        assert apart <= min(abs(Fraction(float(below)) - exact), abs(Fraction(float(above)) - exact))


def test_ziglang_is_a_compiler_where_there_is_no_other(monkeypatch, tmp_path):
    from zoobench.native import compiling

    assert importlib.util.find_spec("ziglang")
    monkeypatch.delenv("CC", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert compiling._compiler() == [sys.executable, "-m", "ziglang", "cc"]
