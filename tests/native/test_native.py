"""What is compiled is called as it was declared."""

import ctypes

import pytest
import torch

from zoobench import native
from zoobench.errors import ZoobenchError
from zoobench.training import lanes
from zoobench.zoos.spec import Flatten, Linear, Network

LIBRARIES = (("networks", "REAL=float"), ("networks", "REAL=double"), ("winograd", "REAL=float"), ("row_statistics",))


@pytest.fixture
def anew():
    native.library.cache_clear()
    yield
    native.library.cache_clear()


@pytest.mark.parametrize("which", LIBRARIES, ids=" ".join)
def test_functions_take_no_other_arguments_than_declared(which):
    """Without types, ctypes passes whatever it is given: a 64-bit address as an int of 32."""
    compiled = native.library(*which)
    for name, (result, arguments) in native._FUNCTIONS[which[0]].items():
        function = getattr(compiled, name)
        assert (function.restype, tuple(function.argtypes)) == (result, arguments)
        if arguments:
            with pytest.raises(ctypes.ArgumentError):
                function(*["text"] * len(arguments))
            with pytest.raises(TypeError):
                function()


@pytest.mark.usefixtures("anew")
def test_a_struct_that_python_and_c_do_not_mean_alike_is_an_error_and_no_run(monkeypatch):
    class Longer(ctypes.Structure):
        _fields_ = (*native.Layer._fields_, ("padding", ctypes.c_int))

    monkeypatch.setattr(native, "_STRUCTS", {"networks": ("size_of_layer", Longer)})
    arguments = Network("net", (Flatten(), Linear("fc", 1, 2))), torch.zeros(1, 4), torch.zeros(1, 1, 1, 1), ["relu"]
    with pytest.raises(ZoobenchError, match=r"Longer has 48 bytes in Python and 44 in networks.c; install"):
        lanes.logits(*arguments)
    native.library.cache_clear()
    monkeypatch.undo()
    assert lanes.logits(*arguments).tolist() == [[[0, 0]]]


def test_arrays_elsewhere_than_on_the_cpu_are_refused():
    network = Network("net", (Flatten(), Linear("fc", 1, 2)))
    weights, images = torch.zeros(1, 4, device="meta"), torch.zeros(1, 1, 1, 1)
    with pytest.raises(ValueError, match="arrays are on cpu, meta; lanes run on CPUs"):
        lanes.logits(network, weights, images, ["relu"])
