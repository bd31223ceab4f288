"""Winograd's minimal filtering is the convolution of PyTorch, but for rounding."""

import pytest
import torch
from torch.nn import functional as F

from zoobench.training import winograd
from zoobench.training.activations import RunActivations
from zoobench.training.formulation import forward
from zoobench.zoos import resolve
from zoobench.zoos.layout import layout_of
from zoobench.zoos.spec import Conv

NETWORK = resolve("cnn-zoo-2/mnist").spec.network


def operands(batch, inputs, outputs, height, width, dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = ((batch, inputs, height, width), (outputs, inputs, 3, 3), (outputs,))
    return [torch.randn(shape, generator=generator, dtype=dtype).requires_grad_() for shape in shapes]


@pytest.mark.parametrize(("dtype", "rounding"), [(torch.float32, 5e-6), (torch.float64, 1e-13)])
@pytest.mark.parametrize(("inputs", "outputs"), [(48, 64), (64, 48), (128, 112)])
@pytest.mark.parametrize(("batch", "height", "width"), [(0, 5, 5), (1, 3, 3), (2, 4, 5), (3, 13, 8), (3, 26, 26)])
def test_output_and_gradients_are_those_of_pytorch(batch, height, width, inputs, outputs, dtype, rounding):
    """Odd and even sides, and more images than go through together."""
    parts = operands(batch, inputs, outputs, height, width, dtype)
    found, expected = winograd.convolve(*parts), F.conv2d(*parts)
    given = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1), dtype=dtype)
    pairs = [(found, expected)]
    pairs += zip(*(torch.autograd.grad(out, parts, given) for out in (found, expected)), strict=True)
    for value, true in pairs:
        largest = true.abs().max().item() if true.numel() else 0
        assert value.shape == true.shape
        torch.testing.assert_close(value, true, rtol=0, atol=rounding * largest)


def test_any_memory_order_of_the_operands_is_taken():
    images, kernel, bias = (part.detach() for part in operands(2, 48, 48, 6, 7, torch.float64))
    expected = winograd.convolve(images, kernel, bias)
    assert expected.is_contiguous(memory_format=torch.channels_last)
    last = (part.to(memory_format=torch.channels_last) for part in (images, kernel))
    assert torch.equal(winograd.convolve(*last, bias.repeat_interleave(2)[::2]), expected)


def test_without_a_gradient_for_the_images_the_others_stay():
    images, kernel, bias = operands(2, 48, 48, 6, 6, torch.float64)
    of_all = torch.autograd.grad(winograd.convolve(images, kernel, bias).square().sum(), (kernel, bias))
    of_two = torch.autograd.grad(winograd.convolve(images.detach(), kernel, bias).square().sum(), (kernel, bias))
    assert all(torch.equal(*pair) for pair in zip(of_all, of_two, strict=True))


def test_large_convolutions_of_stride_one_are_covered():
    convolutions = [layer for layer in NETWORK.layers if isinstance(layer, Conv)]
    assert [winograd.covers(layer) for layer in convolutions] == [False, True, True]
    others = [Conv("c", 64, 64, 5), Conv("c", 64, 64, 3, 2), Conv("c", 64, 32, 3), Conv("c", 60, 64, 3)]
    assert not any(map(winograd.covers, others))


def test_without_a_compiler_pytorch_convolves(monkeypatch):
    """The same logits and gradients of populations, whichever way; so it does where it has several threads."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    shape = 2, layout_of(NETWORK).size
    weights = (
        torch.randn(shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).div(10).requires_grad_()
    )
    images = torch.randn(2, 3, 1, 11, 11, generator=torch.Generator().manual_seed(3), dtype=torch.float64)

    def computed():
        logits = forward(NETWORK, weights, images, RunActivations(["relu", "tanh"]), "per_run")
        return logits, *torch.autograd.grad(logits.square().sum(), weights)

    called = []
    convolve = winograd.convolve
    monkeypatch.setattr(winograd, "convolve", lambda *parts: called.append(1) or convolve(*parts))
    found = computed()
    assert len(called) == 4
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    computed()
    assert len(called) == 4
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    monkeypatch.setattr(winograd, "library", lambda *_: None)
    for value, true in zip(found, computed(), strict=True):
        torch.testing.assert_close(value, true, rtol=1e-10, atol=1e-10)
    assert len(called) == 4
    with pytest.raises(RuntimeError, match="cannot be compiled"):
        convolve(*operands(1, 48, 48, 4, 4, torch.float64))


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({1: torch.zeros(48, 32, 3, 3)}, "give 3x3 kernels of as many channels"),
        ({1: torch.zeros(48, 48, 3, 3).double()}, "one precision"),
        ({1: torch.zeros(48, 48, 5, 5)}, "3x3 kernels"),
        ({2: torch.zeros(47)}, "images, kernel and bias are"),
        ({0: torch.zeros(2, 48, 2, 6)}, "images, kernel and bias are"),
        ({0: torch.zeros(2, 40, 6, 6), 1: torch.zeros(48, 40, 3, 3)}, "40 and 48 channels; give multiples of 16"),
    ],
)
def test_operands_that_do_not_fit_are_refused_before_c_code_reads_them(changed, said):
    parts = [part.detach() for part in operands(2, 48, 48, 6, 6, torch.float32)]
    for place, part in changed.items():
        parts[place] = part
    with pytest.raises(ValueError, match=said):
        winograd.convolve(*parts)
