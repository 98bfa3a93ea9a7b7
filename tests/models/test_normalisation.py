"""Normalisation is local, survives tiling and does not care about gain and offset."""

import pytest
import torch

from napari_stemlearn.models.card import NormalisationRecord
from napari_stemlearn.models.normalisation import frame_scale, halo, normalise


def _image(height=300, width=260):
    torch.manual_seed(1)
    ramp = torch.linspace(0, 30, width).expand(height, width)
    return torch.randn(height, width) * (1 + ramp / 10) + ramp


@pytest.mark.parametrize("kind", ["local", "frame"])
@pytest.mark.parametrize("pixel_size", [0.2, 0.37, 2.0])
def test_gain_and_offset_do_not_matter(kind, pixel_size):
    image, record = _image(), NormalisationRecord(kind=kind)
    once = normalise(image, pixel_size, record)
    torch.testing.assert_close(normalise(image * 250 + 4000, pixel_size, record), once, rtol=1e-3, atol=1e-3)
    assert once.shape == image.shape


def test_local_kind_levels_a_ramp_and_its_contrast():
    done = normalise(_image(), 0.2)
    for half in (done[40:-40, 40:130], done[40:-40, 130:-40]):
        assert abs(float(half.mean())) < 0.1
        assert float(half.std()) == pytest.approx(1, abs=0.1)


@pytest.mark.parametrize("pixel_size", [0.2, 0.6])
def test_a_tile_with_its_halo_equals_the_frame(pixel_size):
    image, record = _image().double(), {"kind": "local", "window_angstrom": 9.0, "floor": 0.1}
    need = halo(pixel_size, record)
    low = 120 // need.multiple * need.multiple
    start = low - -(-need.pixels // need.multiple) * need.multiple
    tile = image[start : low + 40 + need.pixels, start : low + 40 + need.pixels]
    done = normalise(tile, pixel_size, record, scale=frame_scale(image, pixel_size, record))
    inside = slice(low - start, low - start + 40)
    torch.testing.assert_close(
        done[inside, inside], normalise(image, pixel_size, record)[low : low + 40, low : low + 40]
    )


def test_vacuum_stays_quiet_and_a_constant_is_zero():
    image = torch.randn(256, 256)
    image[:, 128:] *= 0.01
    done = normalise(image, 0.2, NormalisationRecord(floor=0.25))
    assert float(done[:, 200:].std()) < 0.1
    assert normalise(torch.full((32, 32), 7.0), 0.2).abs().max() == 0


def test_frames_of_a_batch_are_independent():
    images = torch.stack([_image(), 50 * _image() + 3])
    done = normalise(images, 0.2)
    torch.testing.assert_close(done[1], normalise(images[1], 0.2))
    assert frame_scale(images, 0.2, None).shape == (2,)
