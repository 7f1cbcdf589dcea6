"""The tags by which an import recognises what it made: they are the map from a backup's ids to the server's."""

EXPERIMENT = "handful.source_experiment"
RUN = "handful.source_run"
MODEL = "handful.source_model"
VERSION = "handful.source_version"
"""Their value: the id in the backup."""

DONE = "handful.imported"
"""On runs and logged models, when all of them is there: the digest of the run in the backup."""

TIMES = "handful.source_times"
"""Creation times and users that REST does not take, as JSON."""

FILLER = "handful.filler"
"""On versions that only use up a number, until they are deleted at once: nothing else of them counts."""

OURS = frozenset({EXPERIMENT, RUN, MODEL, VERSION, DONE, TIMES})
