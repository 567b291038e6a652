"""Fault codes of stacks, releases and programs of others: part of `spica.core.catalogue`, which is read instead."""

from __future__ import annotations

from spica.core.codes import FaultCode, FaultKind

_D, _S = FaultKind.DATA, FaultKind.SETUP

DEEP_CODES: dict[str, FaultCode] = {
    # programs of others
    "program.version": FaultCode(
        _S, "a program is of a version that the task does not know", "install one of the range that is told"
    ),
    "program.failed": FaultCode(
        _D, "a program ended with an error", "read its last lines; keep_folder = true keeps its folder"
    ),
    "program.no-output": FaultCode(
        _D, "a program ended well but left no output, or none that can be read", "keep_folder = true keeps its folder"
    ),
    "program.timeout": FaultCode(_D, "a program took longer than it may", "raise the task's setting time_limit"),
    "wrapper.invalid": FaultCode(_S, "the declaration of a wrapped program has no sense", "see docs/wrappers.md"),
    # stacks
    "stack.nothing": FaultCode(_D, "no exposure reaches the tile", "look at the rules and the preview of the release"),
    "stack.no-solution": FaultCode(
        _D, "an exposure of the stack has no sky solution", "solve it, or exclude it by a rule"
    ),
    "stack.no-zero-point": FaultCode(
        _D, "an exposure of the stack has no zero point or exposure time", "calibrate it, or exclude it by a rule"
    ),
    "stack.no-flux-scale": FaultCode(
        _D,
        "an exposure of the stack has no factor of its flux where the settings look for it",
        "write the card or the line of flux_table, set flux = 'photometry', or exclude it by a rule",
    ),
    "stack.no-sky": FaultCode(
        _D,
        "an exposure of the stack has no mesh of its sky, others have",
        "run its background again, or exclude it by a rule",
    ),
    "stack.mixed-scales": FaultCode(
        _D,
        "exposures of a stack have zero points on different magnitude systems",
        "tie all of them to one reference catalogue, or keep them apart by a rule",
    ),
    "stack.scale": FaultCode(
        _D, "an exposure's pixels are of quite another size than the stack's", "exclude it, or raise scale_ratio"
    ),
    "stack.no-weight": FaultCode(_D, "an exposure of the stack has weight nowhere", "exclude it by a rule"),
    "stack.input": FaultCode(
        _D,
        "an exposure of the stack cannot be read",
        "'spica check --deep' names the file: remove it, and the same command with --retry makes it again; or set lost = 'leave out'",
    ),
    # one point spread function for all
    "homogenise.seeing": FaultCode(
        _D,
        "stars of an image are broader than those that all images shall have",
        "raise homogenise.fwhm, leave the image out by a rule on its seeing, or set broader = 'keep'",
    ),
    # releases
    "release.unnamed": FaultCode(
        _S, "it is not said which release is meant", "name one with --release, or write releases/NAME.toml"
    ),
    "release.unknown": FaultCode(_S, "the survey has no release of this name", "see 'spica release list'"),
    "release.invalid": FaultCode(
        _S, "the release's file cannot be used as written", "mend the file: the message says where"
    ),
    # maps of coverage
    "moc.invalid": FaultCode(
        _S,
        "a map of coverage (MOC) cannot be read",
        "give FITS, JSON or ASCII of IVOA's MOC 2.0, of the sky in ICRS: docs/publishing.md",
    ),
    # published catalogues
    "published.unknown": FaultCode(
        _S, "no published catalogue lies there", "name its folder with --catalogue, or publish the release first"
    ),
    "published.exists": FaultCode(
        _S, "the folder of a catalogue that shall be published is not empty", "publish under another name, or remove it"
    ),
    "published.columns": FaultCode(
        _D,
        "catalogues of tiles are none of objects, or do not agree on a column",
        "make the objects of all tiles with one version of the tasks",
    ),
    "published.nothing": FaultCode(
        _D, "no tile owns an object", "look at the catalogues of its tiles: 'spica why UNIT'"
    ),
    "published.damaged": FaultCode(
        _D, "a file of a published catalogue cannot be read", "publish it again, or fetch it anew"
    ),
    # closed releases
    "release.frozen": FaultCode(
        _S,
        "the release was published: nothing of it changes any more",
        "copy its file to one of another name, and make that release",
    ),
    "release.unpublished": FaultCode(_S, "the release was not published", "publish it: 'spica release publish'"),
    "release.incomplete": FaultCode(
        _S,
        "not all stacks of the release are made",
        "'spica release status' says which and why; --incomplete publishes without them",
    ),
    "tile.unknown": FaultCode(_S, "the release has no tile of this name", "see 'spica tiles'"),
}
