"""What every report says of its methods, and where its figures come from."""

from __future__ import annotations

from collections.abc import Mapping

from tonearm.comparison.compare import Comparison
from tonearm.comparison.document import Section, Table
from tonearm.tracking import names

METHODS = (
    "A candidate's score of a track is the mean over its seeds; folds of a cross-validation are put together. Any two "
    "are compared on the tracks that both were tested on, track by track.",
    "Tracks of one group (by default an artist) resemble each other and are no independent draws: all tests and "
    "intervals draw or swap whole groups. A randomisation test swaps the two sides' scores of whole groups (Fisher "
    "1935), or their predictions where the metric is no mean over tracks. Intervals of differences are paired "
    "bootstraps over groups, expanded for few groups (Hesterberg 2015); those of scores are percentile bootstraps "
    "(Efron and Tibshirani 1993; Field and Welsh 2007).",
    "Training has luck, too (Bouthillier et al. 2021): where both sides have several seeds, the variance of their "
    "means over seeds is added to that over groups; interval and p are Student's t with Satterthwaite's degrees of "
    "freedom, and the p given is the larger of this one and the randomisation test's. On sides of many candidates of "
    "one seed each luck shows in how the differences of partners vary or, without partners, the candidates. Else p is "
    "of the tracks alone: it holds for the trained networks, and another seed may differ.",
    "Many comparisons find something by chance alone: Holm's adjusted p (Holm 1979) keeps the risk of any false "
    "finding in a table at 5 %. McNemar's exact test (McNemar 1947) is given beside, as papers give it.",
    "No difference shown does not mean that there is none: the sentence says which one would have been found with a "
    "power of 80 %, all comparisons of the table considered. Intervals of single scores are over groups of tracks.",
    "Calibration: Guo et al. 2017. Importance of hyperparameters: permutation importance (Breiman 2001).",
)
VALIDATION = (
    "These are validation tracks, on which epochs and candidates were chosen: scores are too good, and differences "
    "are those of the choice as well."
)


def provenance(comparison: Comparison) -> Section:
    """The runs, the data, the code and the machine that the figures are of, and what was left out."""
    rows = []
    for answers in comparison.answers:
        for run in answers.candidate.runs:
            tags, config = run.summary.tags, run.config
            rows.append([answers.label, run.summary.name, run.summary.run_id, str(config.seed), config.dataset.fold,
                         config.dataset.data_signature, tags.get(names.COMMIT, ""), tags.get(names.ENVIRONMENT, ""),
                         _machine(tags)])  # fmt: skip
    columns = ["", "run", "id", "seed", "fold", "data", "commit", "environment", "machine"]
    text = [f"Asked for: {', '.join(f'{r.name} ({r.run_id})' for r in comparison.found.named)}."]
    if comparison.options.split == "validation":
        text.append(VALIDATION)
    text += [f"{note}." for note in comparison.found.notes]
    if len({(row[4], row[5]) for row in rows}) > len({row[4] for row in rows}):
        text.append("The runs are of different states of the data set (see data): tracks that both have are compared.")
    commits = {row[6] for row in rows}
    if len(commits) > 1:
        text.append(f"The runs are of {len(commits)} different commits: what differs may be the code.")
    return Section("Where it comes from", text, [Table(columns, rows)])


def _machine(tags: Mapping[str, str]) -> str:
    gpu = tags.get(names.GPU, "none")
    return tags.get(names.CPU, "") if gpu == "none" else gpu
