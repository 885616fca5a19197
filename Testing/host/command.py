"""The command behind `python -m Testing.host`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .environment import missing_requirement, start


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m Testing.host", description="Open the module in the test host.")
    parser.add_argument("scan", nargs="?", help="a volume to load")
    parser.add_argument("--screenshot", metavar="PNG", help="write panel and views as one picture, and end")
    parser.add_argument("--size", default="1366x768", metavar="WxH", help="size of the window (default: %(default)s)")
    options = parser.parse_args(arguments)
    reason = missing_requirement()
    if reason is not None:
        print(f"The test host cannot run: {reason}", file=sys.stderr)
        return 2
    if options.scan and not Path(options.scan).exists():
        print(f"There is no scan {options.scan}.", file=sys.stderr)
        return 2
    width, height = (int(part) for part in options.size.lower().split("x"))
    host = start(testing=options.screenshot is not None, platform="offscreen" if options.screenshot else None)
    import slicer

    host.make_window(size=(width, height))
    if options.scan:
        volume = slicer.util.loadVolume(options.scan)
        slicer.util.setSliceViewerLayers(background=volume, fit=True)
    host.process_events(200)
    host.layout.resetSliceViews()
    if options.screenshot:
        host.save_screenshot(options.screenshot)
        print(f"wrote {options.screenshot}")
        status = 0
    else:
        status = host.qt_application.exec()
    host.stop()
    return status
