"""Every fault code of spica with its meaning and the next thing to try: one fact, one place.

Read by `spica.core.faults`, printed by `spica faults --codes` and by the documentation.
"""

from __future__ import annotations

from spica.core.catalogue_deep import DEEP_CODES
from spica.core.codes import FaultCode, FaultKind

__all__ = ["CODES", "FaultCode", "FaultKind"]


_D, _S, _R, _I = FaultKind.DATA, FaultKind.SETUP, FaultKind.RESOURCE, FaultKind.INTERNAL

CODES: dict[str, FaultCode] = {
    **DEEP_CODES,
    # files as delivered
    "file.missing": FaultCode(_D, "the file is not where it should be", "restore the file or run 'spica check'"),
    "file.empty": FaultCode(_D, "the file has no bytes", "ask for the file again"),
    "file.unreadable": FaultCode(_D, "the file cannot be opened", "check its permissions and the disk"),
    "file.not-fits": FaultCode(_D, "the file is not FITS", "remove it from the delivery"),
    "file.truncated": FaultCode(_D, "the file ends before its headers say so", "ask for the file again"),
    "file.corrupt": FaultCode(
        _D, "stored checksums or compressed data do not agree with the bytes", "ask for the file again"
    ),
    "file.changed": FaultCode(
        _D,
        "a file was delivered again with other bytes",
        "compare both; accept the new one with 'spica ingest --reload FILE'",
    ),
    "header.no-room": FaultCode(
        _D,
        "the primary header has no room for the cards that are to be refreshed",
        "the product was made before there was room: delete it and run its pipeline again",
    ),
    "file.not-parquet": FaultCode(_D, "the table cannot be read", "write it again as Parquet or CSV"),
    # headers
    "header.unknown-camera": FaultCode(
        _D,
        "no camera table recognises this header",
        "name the camera with --camera, or draft one: 'spica camera draft FILE'",
    ),
    "header.wrong-camera": FaultCode(
        _D, "the header belongs to another camera than the one named", "ingest it with its own camera"
    ),
    "header.missing": FaultCode(
        _D,
        "needed header values are missing",
        "mend the header, or map the keyword in the camera table, then 'spica ingest --reload FILE'",
    ),
    "header.absurd": FaultCode(
        _D, "header values are outside their allowed range", "mend the header, then 'spica ingest --reload FILE'"
    ),
    "header.unknown-filter": FaultCode(_D, "the filter is not in the camera table", "add it to the table's filters"),
    "header.master": FaultCode(
        _D,
        "the file is a master calibration made elsewhere, not an exposure",
        "leave it out of the delivery: it would be taken for a raw frame",
    ),
    "header.bad-geometry": FaultCode(_D, "sections in the header do not fit the pixels", "check the read-out mode"),
    # exposures
    "exposure.conflict": FaultCode(
        _D, "two files claim the same exposure and detector", "keep one; 'spica why EXPOSURE' names both"
    ),
    "exposure.id-clash": FaultCode(_I, "two exposures have the same 64-bit identifier", "report it"),
    # calibrations
    "calibration.missing": FaultCode(
        _D,
        "no master is valid for this unit",
        "make the masters first ('spica run calibrations'), or import one ('spica calib import FILE')",
    ),
    "calibration.shape": FaultCode(
        _D, "the master's shape differs from the image's", "use a master of the same binning and read-out mode"
    ),
    "calibration.band": FaultCode(_D, "the masters are of other bands", "use a master of the same band"),
    "calibration.binning": FaultCode(
        _D,
        "the masters are of another binning",
        "take or import masters of the same binning: 'spica calib import FILE'",
    ),
    "calibration.readout": FaultCode(
        _D,
        "the masters are of another read-out mode",
        "take or import masters of the same read-out mode: 'spica calib import FILE'",
    ),
    "calibration.gain": FaultCode(
        _D, "the masters are of another gain", "take or import masters of the same gain: 'spica calib import FILE'"
    ),
    "calibration.expired": FaultCode(
        _D,
        "no master is valid at that time",
        "make masters of a nearer night, copy some to it ('spica calib copy'), or set calibration.outside = true",
    ),
    "calibration.unit": FaultCode(
        _D, "the pixels are not in a unit of such a master", "say the unit with --unit, or normalise the flat to 1"
    ),
    "calibration.too-few": FaultCode(_D, "too few frames for a master", "take more frames or lower the minimum"),
    # science
    "data.no-pixels": FaultCode(_D, "no usable pixel is left", "look at the raw frame and the masks"),
    "data.too-many-sources": FaultCode(
        _D, "more detections than the limit", "raise the threshold; look for a bad flat or background"
    ),
    "data.too-many-cosmics": FaultCode(
        _D,
        "a large part of the image looks like cosmic rays",
        "look for a bad flat; is the camera undersampled, lower cosmics.sharpest, or set cosmics.search=false",
    ),
    "data.no-overscan": FaultCode(
        _D,
        "the overscan section is missing or unusable",
        "check the camera table's sections, or set detrend.overscan_required=false",
    ),
    "data.upstream": FaultCode(
        _D, "a unit that this one needs did not finish", "'spica why' the unit named in the evidence"
    ),
    "data.quorum": FaultCode(_D, "too few of the inputs are there", "complete the inputs or lower the quorum"),
    "data.bad-value": FaultCode(_D, "a value handed to a task is not usable", "look at the evidence"),
    # point spread function
    "psf.too-few-stars": FaultCode(
        _D,
        "too few stars for a model of the point spread function",
        "look for clouds or saturation; lower stars.faintest_snr; a rung of the rescue ladder may borrow another unit's model (psf.fallback=lent) or take a round profile (profile)",
    ),
    "psf.missing": FaultCode(
        _D,
        "there is no model of the point spread function",
        "'spica why' the unit tells why none was made; a neighbour's or one read from a file will do",
    ),
    # astrometry: finding
    "pointing.no-sources": FaultCode(
        _D,
        "too few stars to find the pointing with",
        "look at the image: clouds, a closed dome, a wrong threshold; lower pointing.matches with care",
    ),
    "pointing.no-reference": FaultCode(
        _D,
        "no usable reference stars lie within reach of where the header points",
        "see 'spica refcat coverage'; import a catalogue of that field, or raise pointing.reach",
    ),
    "pointing.no-wcs": FaultCode(
        _D,
        "no detector has a sky solution to begin with",
        "mend the header's position or solution, or describe the focal plane in the camera table",
    ),
    "pointing.no-match": FaultCode(
        _D,
        "no alignment of the stars with the reference stars is beyond chance",
        "is it the right field and catalogue? raise pointing.reach, give pointing.blur the size of trails",
    ),
    # sky solutions of files
    "wcs.none": FaultCode(_D, "the file has no sky solution", "find one with the task 'pointing'"),
    "wcs.unsupported": FaultCode(
        _D, "the sky solution is of a form that is not understood", "see docs/wcs.md for those that are"
    ),
    "wcs.inexact": FaultCode(
        _D,
        "the conversion would differ by more than is allowed",
        "allow more with --tolerance, or choose --to tpv or sip",
    ),
    # reference catalogues
    "refcat.unknown": FaultCode(_S, "no such reference catalogue", "see 'spica refcat list'"),
    "refcat.exists": FaultCode(
        _S,
        "there is a reference catalogue of that name",
        "add the files to it with --add, make it anew with --replace, or choose another name",
    ),
    "refcat.mapping": FaultCode(
        _S, "the column mapping cannot be used", "mend the file; docs/reference-catalogues.md shows one"
    ),
    "refcat.columns": FaultCode(
        _D, "no column mapping knows the table's columns", "write a mapping and name it with --mapping FILE"
    ),
    "refcat.epoch": FaultCode(
        _D, "the epoch of the positions is not told", "say it with --epoch YEAR (Gaia DR2: 2015.5, DR3: 2016.0)"
    ),
    "refcat.nothing": FaultCode(
        _D, "no row of the tables can be used", "look at the reasons; is the mapping the right one?"
    ),
    "refcat.damaged": FaultCode(
        _D, "a file of the reference catalogue cannot be read", "import it again: 'spica refcat import --replace'"
    ),
    "online.unknown": FaultCode(_S, "no such online service", "see 'spica refcat fetch --services'"),
    "online.unreachable": FaultCode(
        _R, "an online service cannot be reached", "is the network there? try again; what was fetched before is kept"
    ),
    "online.refused": FaultCode(
        _D,
        "an online service did not answer the question",
        "read what it says; is it another table now? --url asks elsewhere",
    ),
    "online.truncated": FaultCode(
        _D, "an online service has more rows than it gives", "ask for brighter stars with --faintest"
    ),
    "refcat.unnamed": FaultCode(
        _S,
        "the survey has no reference catalogue, or several and does not say which to take",
        "import one: 'spica refcat import NAME FILE', or name one in survey.toml: [catalogues] astrometry = \"NAME\"",
    ),
    "refcat.lacking": FaultCode(
        _D,
        "the reference catalogue lacks a column that the work needs",
        "take another one: [catalogues] in survey.toml",
    ),
    "refcat.changed": FaultCode(
        _D, "the reference catalogue was replaced after the work was planned", "give the order again"
    ),
    # index files of the blind solver
    "index.damaged": FaultCode(
        _D,
        "the file is no index of astrometry.net, is damaged, or of a layout that is not known",
        "download or install it again, or leave it out of [catalogues] indexes in survey.toml",
    ),
    "index.none": FaultCode(
        _S,
        "no index files are there to find lost pointings by",
        "install some (Debian: astrometry-data-tycho2-10-19) and name their folder in survey.toml: [catalogues] indexes",
    ),
    "index.changed": FaultCode(_D, "an index file was replaced after the work was planned", "give the order again"),
    "data.no-pointing": FaultCode(
        _D,
        "the frame does not tell where on the sky it is",
        "mend the camera table's header rules for ra and dec, or give the frame a WCS",
    ),
    # settings and orders
    "settings.unknown": FaultCode(_S, "no such setting", "see 'spica pipeline show NAME --settings'"),
    "settings.invalid": FaultCode(_S, "a setting's value is not allowed", "see 'spica pipeline show NAME --settings'"),
    "survey.missing": FaultCode(_S, "no survey here", "make one: 'spica init DIR'"),
    "survey.exists": FaultCode(_S, "there is a survey here already", "choose another folder"),
    "survey.invalid": FaultCode(_S, "survey.toml cannot be used", "mend the file; 'spica doctor' checks it"),
    "camera.unknown": FaultCode(_S, "no such camera", "see 'spica camera list'"),
    "camera.invalid": FaultCode(_S, "the camera table is wrong", "mend the table; 'spica camera check NAME FILE'"),
    "pipeline.unknown": FaultCode(_S, "no such pipeline", "see 'spica pipeline list'"),
    "pipeline.invalid": FaultCode(_S, "the pipeline cannot work", "mend the pipeline; 'spica pipeline check NAME'"),
    "task.unknown": FaultCode(_S, "no such task", "see 'spica pipeline list --tasks'"),
    "task.invalid": FaultCode(_S, "the task's declaration is wrong", "mend the module"),
    "where.invalid": FaultCode(_S, "the selection cannot be understood", "example: night='2026-11-20' and band='r'"),
    "order.nothing": FaultCode(
        _S, "the order selects nothing", "widen the selection; 'spica status' shows what there is"
    ),
    "order.unknown-unit": FaultCode(_S, "no such unit", "see 'spica status'"),
    "order.unknown-production": FaultCode(_S, "no such production", "see 'spica queue list'"),
    "production.state": FaultCode(
        _S,
        "a production cannot be treated so while it stands as it does",
        "see 'spica queue show NUMBER'; what runs can be held or stopped, what has ended resumed, archived or deleted",
    ),
    "production.hopeless": FaultCode(
        _S,
        "a production would not come to a good end",
        "make room, or bring in what is missing ('spica run PIPELINE --dry-run' lists it); then 'spica queue resume NUMBER'",
    ),
    "order.invalid": FaultCode(_S, "the order cannot be carried out as given", "see --help"),
    "plugin.broken": FaultCode(_S, "an outside package cannot be loaded", "mend or uninstall the package"),
    # zero points
    "systems.invalid": FaultCode(
        _S,
        "a table of a photometric system cannot be used",
        "mend the place that is named; docs/photometry.md shows a table",
    ),
    "zero-point.no-magnitudes": FaultCode(
        _D,
        "the reference catalogue has no magnitudes in the exposure's band here",
        "import a catalogue that has them, or name another column in the setting magnitude",
    ),
    "zero-point.none": FaultCode(
        _D,
        "neither a joint solution nor the exposure itself gave a zero point",
        "see why with 'spica why' of the exposure; a reference catalogue with magnitudes may be missing",
    ),
    "zero-point.too-few": FaultCode(
        _D,
        "too few sources are stars of the reference catalogue",
        "check the pointing, clouds, and the catalogue's depth",
    ),
    "zero-point.all-bad": FaultCode(
        _D,
        "matched stars do not agree on a zero point",
        "check the pointing, the filter, and that the reference's magnitudes are of the band",
    ),
    "zero-point.slope": FaultCode(
        _D,
        "magnitudes follow those of the reference with a slope that is not 1",
        "look for saturation (setting brightest), a wrong background or non-linearity",
    ),
    # joint solutions
    "register.no-stars": FaultCode(
        _D, "a frame has too few stars to be laid onto another", "look at its catalogue; lower register.least_snr"
    ),
    "register.no-match": FaultCode(
        _D,
        "a frame could not be laid onto the one that its series is laid on",
        "is it the same field? raise register.shift or register.scale; give register.error the error of its places",
    ),
    "register.alone": FaultCode(
        _D,
        "no frame of a series could be laid onto another",
        "is it one field? set register's group so that only frames of one field are together; raise register.shift",
    ),
    "register.unseen": FaultCode(
        _D,
        "a frame had no catalogue, or no PSF fits, to be registered by",
        "'spica why' the unit tells what failed before",
    ),
    "solve.no-sources": FaultCode(
        _D,
        "no detection is left for a joint solution",
        "look at the catalogues of the group; lower the setting least_snr of the task 'solve'",
    ),
    "solve.no-reference": FaultCode(
        _D, "the reference catalogue has no star where the exposures look", "import one: 'spica refcat import'"
    ),
    "solve.no-header": FaultCode(
        _D,
        "a detector has no sky solution to start from",
        "run the step that finds pointings before the joint solution",
    ),
    "solve.no-solution": FaultCode(
        _D,
        "no exposure of the group can be tied to the reference catalogue",
        "check the pointings and the coverage of the catalogue: 'spica refcat coverage'",
    ),
    "solve.untied": FaultCode(
        _D,
        "an exposure, with all that overlap with it, has too few reference stars",
        "check its pointing and its depth; add exposures that overlap",
    ),
    "solve.unmatched": FaultCode(
        _D,
        "an exposure has too few sources in common with others or the reference",
        "check its pointing, clouds, focus",
    ),
    "solve.sparse": FaultCode(
        _D,
        "a detector of a solved exposure has no solution of its own",
        "look at its catalogue: it is empty, or none of its sources is clean",
    ),
    "solve.loose": FaultCode(
        _D,
        "nothing ties the exposure's zero point: it sees no standards, shares sources with none that does, and has no clear night",
        "take a catalogue that reaches there, overlapping exposures, or standard stars with the setting nightly",
    ),
    "solve.bad-fit": FaultCode(
        _D,
        "an exposure does not fit into the joint solution",
        "look for trailing or a wrong filter; solve it alone, or raise the setting field_degree",
    ),
    "program.missing": FaultCode(_S, "a needed program or extra is not installed", "install it"),
    # registry
    "registry.missing": FaultCode(_S, "the registry cannot be opened", "check the address in survey.toml"),
    "registry.corrupt": FaultCode(_S, "the registry is damaged", "restore a backup: 'spica registry restore FILE'"),
    "registry.newer": FaultCode(_S, "the registry was written by a newer version", "upgrade spica"),
    "registry.older": FaultCode(_S, "the registry was written by an older version", "run 'spica registry upgrade'"),
    "registry.network-disk": FaultCode(
        _S, "SQLite on a network file system is not safe", "move the survey to a local disk or use PostgreSQL"
    ),
    "registry.busy": FaultCode(_R, "the registry did not answer in time", "try again; see what else runs"),
    # resources
    "disk.full": FaultCode(_R, "no space is left on the disk", "free space, then run the same command again"),
    "disk.read-only": FaultCode(_R, "the disk cannot be written", "remount it or choose another area"),
    "storage.unreachable": FaultCode(_R, "a storage area does not answer", "check the mount or the host"),
    "worker.killed": FaultCode(
        _R,
        "a worker process died while it worked on this unit",
        "see the system's log (memory?); the unit is tried again",
    ),
    "worker.timeout": FaultCode(_R, "the unit took longer than allowed", "raise engine.timeout or look for a hang"),
    "worker.memory": FaultCode(
        _R, "the unit needed more memory than allowed", "raise engine.memory or use fewer workers"
    ),
    # internal
    "internal.error": FaultCode(
        _I, "a task raised an error that it does not name", "report it with the traceback in 'spica why UNIT'"
    ),
    "internal.bad-return": FaultCode(_I, "a task returned something else than it declares", "mend the task"),
    "internal.undeclared-code": FaultCode(_I, "a fault code is not declared", "declare it in spica.core.catalogue"),
}
