"""The ``stemlearn`` command: every step without a screen; one file a command, nothing heavy before it is needed."""


def main() -> None:
    """Run the command."""
    from napari_stemlearn.cli.app import app

    app()
