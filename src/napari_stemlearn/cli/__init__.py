"""The ``stemlearn`` command: every step without a screen; one file a command, nothing heavy before it is needed."""

INTERRUPTED = 130
"""Exit status after Ctrl-C."""


def main() -> None:
    """Run the command."""
    try:
        # Ctrl-C may come while this loads, before anything in it can answer
        from napari_stemlearn.cli.app import app

        app()
    except KeyboardInterrupt:
        import sys

        print("Interrupted.", file=sys.stderr)
        sys.exit(INTERRUPTED)
