"""What critics of Fourier amplitudes see: standardised with running statistics of real images."""

from __future__ import annotations

import torch

from napari_stemlearn.networks.spectrum import LogSpectrum


def test_statistics_begin_with_the_first_batch_and_then_run():
    torch.manual_seed(0)
    spectrum = LogSpectrum(size=(16, 16))
    first, second = torch.randn(4, 1, 16, 16), 2 * torch.randn(4, 1, 16, 16)
    spectrum.observe(first)
    begun = spectrum.amplitude(first)[:, 0]
    torch.testing.assert_close(spectrum.mean, begun.mean(0))
    torch.testing.assert_close(spectrum.variance, begun.var(0, correction=0))
    mean, variance = spectrum.mean.clone(), spectrum.variance.clone()
    spectrum.observe(second)
    assert int(spectrum.seen) == 2
    then = spectrum.amplitude(second)[:, 0]
    torch.testing.assert_close(spectrum.mean, (mean + then.mean(0)) / 2)
    torch.testing.assert_close(spectrum.variance, (variance + (then - mean).square().mean(0)) / 2)


def test_later_batches_count_by_the_momentum():
    torch.manual_seed(0)
    spectrum = LogSpectrum(size=(8, 8), momentum=0.25)
    for _ in range(9):
        spectrum.observe(torch.randn(2, 1, 8, 8))
    mean = spectrum.mean.clone()
    images = torch.randn(2, 1, 8, 8)
    spectrum.observe(images)
    torch.testing.assert_close(spectrum.mean, 0.75 * mean + 0.25 * spectrum.amplitude(images)[:, 0].mean(0))
