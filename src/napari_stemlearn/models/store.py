"""Models on disk: listing, loading and saving them."""

from __future__ import annotations

import errno
import hashlib
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from napari_stemlearn.atomic_writing import older_contents, replacing_together, visible_files
from napari_stemlearn.errors import ModelError
from napari_stemlearn.file_errors import reason
from napari_stemlearn.models.card import ModelCard, read_card
from napari_stemlearn.project_folder import project_folder

if TYPE_CHECKING:
    import torch

    from napari_stemlearn.networks.residual_unet import ResidualUNet

CARD, WEIGHTS = "card.json", "weights.safetensors"
"""Names of the two files in a model's folder."""

GENERATOR_CARD = "generator.json"
"""Name of the card in a generator's folder, which is no model."""


@dataclass(frozen=True)
class ModelEntry:
    """A model in the list: `origin` is ``shipped``, ``user``, ``project`` or ``given``."""

    name: str
    folder: Path
    card: ModelCard
    origin: str


@dataclass(frozen=True)
class Model:
    """A trained network (in eval mode, on `device`) with its card."""

    card: ModelCard
    network: ResidualUNet
    device: torch.device


def shipped_folder() -> Path:
    """Where the models that come with the package lie."""
    return Path(__file__).parent


def user_folder() -> Path:
    """Where a user's own models lie; the environment variable STEMLEARN_MODELS overrides it."""
    chosen = os.environ.get("STEMLEARN_MODELS")
    if chosen:
        return Path(chosen)
    import platformdirs

    return platformdirs.user_data_path("napari-stemlearn", appauthor=False) / "models"


def list_models(folders: Sequence[str | Path] = ()) -> list[ModelEntry]:
    """All models: shipped ones, the user's, those kept in the project, and those in further folders.

    Of two with one name, that of a further folder hides that of the project, this the user's, and this the shipped one.

    A model whose card is wrong is left out, with a warning that says why.
    """
    places = [
        *((Path(folder), "given") for folder in folders),
        (project_folder() / "models", "project"),
        (user_folder(), "user"),
        (shipped_folder(), "shipped"),
    ]
    entries: dict[str, ModelEntry] = {}
    seen: set[Path] = set()
    for place, origin in places:
        if place in seen:
            continue
        seen.add(place)
        for path in visible_files(place, f"*/{CARD}"):
            try:
                entry = ModelEntry(path.parent.name, path.parent, read_card(path), origin)
            except ModelError as error:
                warnings.warn(str(error), stacklevel=2)
                continue
            entries.setdefault(entry.name, entry)
    return sorted(entries.values(), key=lambda entry: entry.name)


def find_model(name: str | Path, folders: Sequence[str | Path] = ()) -> Path:
    """Folder of a model given by its name or its path.

    Raises
    ------
    ModelError
        If there is none; names those that there are.
    """
    path = Path(name)
    try:
        if path.name == CARD and path.is_file():
            return path.parent
        if (path / CARD).is_file():
            return path
        is_generator = (path / GENERATOR_CARD).is_file()
    except OSError as error:
        # what is too long for a file system is no path, so it can only be a wrong name
        if error.errno != errno.ENAMETOOLONG:
            raise ModelError(f"The model '{name}' cannot be read: {reason(error)}.") from error
        is_generator = False
    entries = list_models(folders)
    for entry in entries:
        if entry.name == str(name):
            return entry.folder
    if is_generator:
        raise ModelError(
            f"{path} is a generator, which gives simulations the look of a day; sites are found by a model that was "
            "trained on its images."
        )
    known = ", ".join(entry.name for entry in entries) or "none yet"
    raise ModelError(f"There is no model '{name}'; give the folder of a model or one of these names: {known}.")


def load_model(name: str | Path, device: str = "auto", *, folders: Sequence[str | Path] = ()) -> Model:
    """Load a trained model, ready to predict.

    Parameters
    ----------
    name
        Name of a listed model or path of its folder.
    device
        ``auto``, ``cpu``, ``cuda:0``, ``mps``.
    folders
        Further folders of models to look for `name` in.

    Raises
    ------
    ModelError
        If there is no such model, or its card does not fit its weights.
    SettingsError
        If the device is not there.
    """
    import torch

    from napari_stemlearn.devices import choose_device

    folder = find_model(name, folders)
    card = read_card(folder / CARD)
    chosen = choose_device(device)
    network = build_for(card)
    fill(network, folder, card)
    network.eval().requires_grad_(False)
    network.to(chosen).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return Model(card, network, chosen)


def build_for(card: ModelCard) -> ResidualUNet:
    """The network that a card describes, with fresh weights.

    Raises
    ------
    ModelError
        If the card describes none.
    """
    from napari_stemlearn.networks.build import build_network

    try:
        return build_network(card.network)
    except ValueError as error:
        raise ModelError(f"The card of the model '{card.name}' is wrong: {error}.") from error


def fill(network: ResidualUNet, folder: Path, card: ModelCard) -> None:
    """Put the weights of a model's folder into its network.

    Raises
    ------
    ModelError
        If the file is missing, broken, or does not fit the card.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load

    path = folder / WEIGHTS
    try:
        content = _weights_of(path, card)
        weights = load(content)
    except FileNotFoundError:
        raise ModelError(f"The model '{card.name}' has no weights: {path} is missing.") from None
    except (OSError, SafetensorError) as error:
        raise ModelError(f"The weights {path} cannot be read: {error}.") from error
    wanted = network.state_dict()
    start = f"The card of the model '{card.name}' does not fit its weights"
    for key in sorted(set(wanted) ^ set(weights)):
        raise ModelError(f"{start}: {key} is {'missing from' if key in wanted else 'only in'} {path}.")
    for key, tensor in wanted.items():
        if tensor.shape != weights[key].shape:
            raise ModelError(
                f"{start}: {key} has the shape {tuple(weights[key].shape)}, by the card {tuple(tensor.shape)}."
            )
    if card.weights_sha256 and hashlib.sha256(content).hexdigest() != card.weights_sha256:
        raise ModelError(f"{start}: {path} is not the file that the card was written for.")
    network.load_state_dict(weights)


def _weights_of(path: Path, card: ModelCard) -> bytes:
    """The weights that a card was written for: those in its folder, or those that were kept while they were replaced.

    Raises
    ------
    OSError
        If they cannot be read.
    """
    content = path.read_bytes()
    if not card.weights_sha256 or hashlib.sha256(content).hexdigest() == card.weights_sha256:
        return content
    for older in older_contents(path):
        kept = older.read_bytes()
        if hashlib.sha256(kept).hexdigest() == card.weights_sha256:
            warnings.warn(
                f"The model '{card.name}' was not replaced whole, since a program was killed; "
                f"its card and its weights from before are used ({older}).",
                stacklevel=2,
            )
            return kept
    return content


def save_model(
    folder: str | Path, network: ResidualUNet, card: ModelCard, *, half_precision: bool = False
) -> ModelCard:
    """Write a model's folder: both files or neither, so that an older model stays where the disk refuses.

    Parameters
    ----------
    folder
        Made where missing; a model in it is replaced.
    network
        Its tensors are written as float32, the kernels of convolutions as float16 with `half_precision`.
    card
        Gets the checksum of the weights.
    half_precision
        Halves the file; networks still compute in float32 when loaded.

    Returns
    -------
    ModelCard
        The card as written.

    Raises
    ------
    ModelError
        If the card does not fit the network, or the disk refuses.
    """
    import json

    import torch
    from safetensors.torch import save

    state = {
        key: (value.float() if value.is_floating_point() else value)
        .detach()
        .cpu()
        .contiguous(memory_format=torch.contiguous_format)
        for key, value in network.state_dict().items()
    }
    wanted = {key: tuple(value.shape) for key, value in build_for(card).state_dict().items()}
    if wanted != {key: tuple(value.shape) for key, value in state.items()}:
        raise ModelError(f"The card of the model '{card.name}' describes another network than the one to be saved.")
    if half_precision:
        # statistics and biases stay exact: they are few, and some are very small
        state = {key: value.half() if value.ndim == 4 else value for key, value in state.items()}
    folder = Path(folder)
    content = save(state)
    card = card.model_copy(update={"weights_sha256": hashlib.sha256(content).hexdigest()})
    text = json.dumps(card.record(), indent=1, ensure_ascii=False) + "\n"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_together(folder / WEIGHTS, folder / CARD) as (weights, beside):
            weights.write_bytes(content)
            beside.write_text(text, encoding="utf-8")
    except OSError as error:
        raise ModelError(f"The model cannot be written to {folder}: {reason(error)}.") from error
    return card
