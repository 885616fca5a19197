"""`synthsegplus`: the command line. Each subcommand lives in a module of its own and is imported when it is chosen.

A subcommand's module has `add_arguments(parser)` and `run(args) -> int`, the exit status: 0 done, 1 some scans
failed, 2 the request cannot be carried out, 130 stopped by the user.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Any, NoReturn

from SynthSegPlusLib import __version__
from SynthSegPlusLib.contract.errors import SynthSegPlusError

PROGRAM = "synthsegplus"
DONE, SCANS_FAILED, REFUSED, STOPPED = 0, 1, 2, 130

COMMANDS = {
    "segment": ("SynthSegPlusLib.commands.segment", "segment scans (the flags of mri_synthseg and more)"),
    "check": ("SynthSegPlusLib.commands.check", "look at a scan and advise a mode, without segmenting"),
    "models": ("SynthSegPlusLib.commands.models", "list the model sets, where they are and what they can do"),
    "doctor": ("SynthSegPlusLib.commands.doctor", "show versions, backends, devices, memory and model sets"),
    "demo": ("SynthSegPlusLib.commands.demo", "segment a real scan that comes with nilearn and show the result"),
    "synth": ("SynthSegPlusLib.synthesis.command", "make synthetic scans from label maps"),
    "train": ("SynthSegPlusLib.training.command", "train networks on synthetic scans"),
    "parcels": ("SynthSegPlusLib.training.parcel_command", "make cortical parcels for the training label maps"),
    "export": ("SynthSegPlusLib.training.export_command", "make a model set of trained networks"),
    "calibrate": ("SynthSegPlusLib.training.calibrate_command", "calibrate a set's quality scores"),
}


class OneSentenceParser(argparse.ArgumentParser):
    """Complains in one sentence instead of a page of usage; an option may not be shortened."""

    def __init__(self, *args: Any, **keywords: Any) -> None:
        super().__init__(*args, **{"allow_abbrev": False, **keywords})

    def error(self, message: str) -> NoReturn:
        self.exit(REFUSED, f"{PROGRAM}: {message}; see {self.prog} --help\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command line (by default that of the process) and return the exit status."""
    words = list(sys.argv[1:] if argv is None else argv)
    # What is asked for with --debug must hold for errors of the parser's own making too.
    debug = "--debug" in words
    _print_any_name()
    try:
        return _run(words)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else DONE
    except KeyboardInterrupt:
        print(f"\n{PROGRAM}: stopped; nothing half-written was left.", file=sys.stderr)
        return STOPPED
    except BrokenPipeError:
        # The reader of our output has gone; Python would complain once more when it closes the stream.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except SynthSegPlusError as error:
        return _complain(str(error), debug)
    except Exception as error:
        return _complain(in_words(error), debug)


def _print_any_name() -> None:
    """A file name that the terminal's encoding lacks must not end a run."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def in_words(error: Exception) -> str:
    """An error that nobody foresaw, as one sentence that says what to do."""
    if isinstance(error, MemoryError):
        return "There is not enough memory; close other programs, or use --crop or a mode with fewer networks."
    text = " ".join(str(error).split()) or "no message"
    what = f"{type(error).__name__}: {text[:300]}"
    return f"Something unforeseen went wrong ({what}); run again with --debug for details."


def _complain(message: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"{PROGRAM}: {message}", file=sys.stderr)
    return REFUSED


def _run(words: list[str]) -> int:
    chosen = words[0] if words and words[0] in COMMANDS else None
    parser = _parser(chosen)
    if not words or (chosen in ("segment", "synth", "train", "check") and len(words) == 1):
        # As the published command does: no argument at all prints the help and is an error.
        (parser if chosen is None else _chosen_parser(parser, chosen)).print_help()
        return SCANS_FAILED
    args = parser.parse_args(words)
    return args.run(args)


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    """The parser of the whole program; only the chosen subcommand's arguments are filled in."""
    parser = OneSentenceParser(
        prog=PROGRAM, description="Segmentation of brain MRI of any contrast and resolution, with quality control."
    )
    parser.add_argument("--version", action="version", version=f"{PROGRAM} {__version__}")
    children = parser.add_subparsers(title="commands", metavar="COMMAND", required=True, parser_class=OneSentenceParser)
    for name, (module, summary) in COMMANDS.items():
        child = children.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        if name == chosen:
            command = _load(name, module)
            command.add_arguments(child)
            child.set_defaults(run=command.run)
            if "--debug" not in child._option_string_actions:
                child.add_argument("--debug", action="store_true", help="show the traceback of an error")
    return parser


def _chosen_parser(parser: argparse.ArgumentParser, name: str) -> argparse.ArgumentParser:
    action = next(action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    return action.choices[name]


def _load(name: str, module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and error.name.startswith("SynthSegPlusLib"):
            raise SynthSegPlusError(f"This installation has no command {name!r}; install the whole package.") from error
        raise SynthSegPlusError(
            f"The command {name!r} needs the Python package {error.name}, which is not installed; "
            f"install it with: python -m pip install {error.name}"
        ) from error


if __name__ == "__main__":
    sys.exit(main())
