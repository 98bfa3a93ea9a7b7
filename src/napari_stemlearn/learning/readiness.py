"""Refuse at once a training that could not begin: everything that is soon looked up is looked up."""

from __future__ import annotations

from napari_stemlearn.devices import choose_device
from napari_stemlearn.errors import SettingsError
from napari_stemlearn.learning.cyclegan_settings import CycleGANSettings
from napari_stemlearn.learning.device import choose_precision
from napari_stemlearn.learning.experiment import read_experiment
from napari_stemlearn.learning.loading import open_source
from napari_stemlearn.learning.settings import SegmentationSettings
from napari_stemlearn.learning.simulated_stack import SimulatedStack
from napari_stemlearn.learning.starting_weights import take_weights
from napari_stemlearn.learning.structure_mixture import check_mixture
from napari_stemlearn.networks.residual_unet import ResidualUNet


def check_training(settings: SegmentationSettings) -> None:
    """Look for the device, the weights to start from, and the stored set, the generator or the crystals.

    Parameters
    ----------
    settings
        Of the training.

    Raises
    ------
    StemlearnError
        Says what is missing or does not fit.
    """
    choose_precision(settings.precision, choose_device(settings.device))
    if settings.start_from:
        network = ResidualUNet(1, len(settings.targets.classes), **settings.network.model_dump())
        take_weights(network, settings)
    source = open_source(settings)
    if settings.data.source == "simulation":
        check_mixture(source.structures)


def check_cyclegan(settings: CycleGANSettings) -> None:
    """Look for the device, the crystals, the experimental images and the simulated stack.

    Parameters
    ----------
    settings
        Of the training.

    Raises
    ------
    StemlearnError
        Says which image, and why.
    """
    if not settings.experiment:
        raise SettingsError("There is no experimental image to learn from; name a stack, files or a folder.")
    choose_precision(settings.precision, choose_device(settings.device))
    check_mixture(settings.structures)
    experiment = read_experiment(settings.experiment, settings.crop, settings.pixel_size)
    if settings.simulated:
        SimulatedStack.of(settings, experiment.pixel_size)
