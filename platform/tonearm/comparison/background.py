"""The second half of a report: how the candidates came about, how they differ, the methods and the runs."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from tonearm.comparison.candidates import varied_fields
from tonearm.comparison.compare import Comparison, agreement_pairs
from tonearm.comparison.curves import (
    FEW_STATEMENTS,
    cost_plot,
    curves_plot,
    importance_plot,
    parallel_plot,
    reliability_plot,
)
from tonearm.comparison.document import Plot, Section, Table, draw_plot
from tonearm.comparison.importance import ROUNDS, importances
from tonearm.comparison.plots import agreement_plot
from tonearm.core.text import command
from tonearm.statistics.agreement import disagreement, divergence, kappa
from tonearm.tasks import Tabular
from tonearm.tasks.multi_hot import MIN_STATED_PROBABILITY, MultiHot
from tonearm.tracking import names
from tonearm.tracking.pages import LOCAL, run_page, web_server

MAX_LINKS = 3  # addresses of named runs

METHODS = (
    "A candidate's score of a track is the mean over its seeds; folds of a cross-validation are put together. Any two "
    "are compared on the tracks that both were tested on, track by track.",
    "Tracks of one group (by default an artist) resemble each other and are no independent draws: all tests and "
    "intervals draw or swap whole groups. A randomisation test swaps the two sides' scores of whole groups (Fisher "
    "1935), or their predictions where the metric is no mean over tracks. Intervals of differences are paired "
    "bootstraps over groups, expanded for few groups (Hesterberg 2015); those of scores between two bounds are "
    "Wilson's with the deviation of bootstrapped groups (Wilson 1927; Korn and Graubard 1998), of others such "
    "bootstraps (Field and Welsh 2007).",
    "Training varies by seed, too (Bouthillier et al. 2021): where both sides have several seeds, the variance of "
    "their means over seeds is added to that over groups; interval and p are Student's t with Satterthwaite's degrees "
    "of freedom, and the p given is the larger of this one and the randomisation test's. On sides of many candidates "
    "of one seed each that variance shows in the differences of partners or, without partners, in the candidates. "
    "Else p is of the tracks alone: it holds for the trained networks, and another seed may differ.",
    "Many comparisons find something by chance alone: Holm's adjusted p (Holm 1979) keeps the risk of any false "
    "finding in a table at 5 %. McNemar's exact test (McNemar 1947) is given beside, as papers give it.",
    "No difference shown does not mean that there is none: where it can be told, the sentence says which one would "
    "have been found with a power of 80 %, all comparisons of the table considered. Intervals of single scores are "
    "over groups of tracks.",
    "Calibration: Guo et al. 2017. Importance of hyperparameters: permutation importance (Breiman 2001).",
)
VALIDATION = (
    "These are validation tracks, on which epochs and candidates were chosen: scores are too good, and differences "
    "are those of the choice as well."
)


def background(comparison: Comparison) -> list[Section]:
    """Learning curves, hyperparameters, calibration, agreement and cost, where there are any; methods; provenance."""
    sections = [
        _learning_section(comparison), _importance_section(comparison), _calibration_section(comparison),
        _agreement_section(comparison), _cost_section(comparison), Section("Methods", METHODS),
        _provenance_section(comparison),
    ]  # fmt: skip
    return [s for s in sections if s is not None]


def _learning_section(comparison: Comparison) -> Section | None:
    curves = {label: runs for label, runs in comparison.curves.items() if runs}
    if not curves:
        return None
    task = comparison.predictions[0].task
    caption = f"Validation {task.primary} after each epoch: a line a run, a colour and a mark a candidate."
    return Section("Learning curves", (), (), draw_plot("learning", caption, curves_plot, curves, task.primary))


def _importance_section(comparison: Comparison) -> Section:
    candidates = [c for c in comparison.found.candidates if not c.is_ensemble]
    task = comparison.predictions[0].task
    configs, scores = [c.values for c in candidates], [c.validation("validation") for c in candidates]
    varied = varied_fields(configs)
    title = "Which hyperparameters matter"
    found = importances(configs, varied, scores)
    plots: list[Plot] = []
    if not isinstance(found, str):
        caption = (
            f"A random forest predicts validation {task.primary} of configurations outside its training part with R² "
            f"{found.explained:.2f}, at best 1. Bars: how much of R² is lost if a field's values are shuffled among "
            f"the configurations, alone or together with others; black: deviation over {ROUNDS} cross-validations. Of "
            "fields that move together each seems unimportant; trials that were stopped early count with what they had "
            "reached."
        )
        plots += draw_plot("importance", caption, importance_plot, found.fields)
    if varied and sum(np.isfinite(scores)) > 2:
        caption = (
            f"A line a configuration, from its values of the varied fields to its validation {task.primary} on the "
            "right; light: better."
        )
        plots += draw_plot("parallel", caption, parallel_plot, configs, varied, scores, task.primary)
    return Section(title, [f"{found[0].upper()}{found[1:]}."] if isinstance(found, str) else (), (), plots)


def _calibration_section(comparison: Comparison) -> Section | None:
    if not comparison.reliability:
        return None
    which = (
        f" Only cells of tracks and classes that were stated with at least {MIN_STATED_PROBABILITY:g} are counted: "
        "with all the classes that a track does not have, any model would seem calibrated."
        if isinstance(comparison.predictions[0].task, MultiHot)
        and not isinstance(comparison.predictions[0].task, Tabular)
        else ""
    )
    caption = (
        "Of what was stated with a probability (across), the share that was so (up); on the dotted line both agree, "
        "below it the model is overconfident. Grey bars: how often it stated such a probability; hollow points: of "
        f"fewer than {FEW_STATEMENTS} statements." + which
    )
    plots = draw_plot("reliability", caption, reliability_plot, comparison.reliability)
    rows = [[label, f"{d.error:.3f}", f"{d.worst:.3f}", f"{d.brier:.3f}", str(int(d.count.sum()))]
            for label, d in comparison.reliability.items()]  # fmt: skip
    table = Table(["", "expected error (ECE)", "largest gap", "Brier score", "statements"], rows,
                  "All are best at 0; ten bins of equal width.")  # fmt: skip
    return Section("Calibration of the probabilities", (), [table], plots)


def _agreement_section(comparison: Comparison) -> Section | None:
    predictions = agreement_pairs(comparison.predictions)
    if predictions is None:
        return None
    count = len(predictions)
    equal, kappas = np.eye(count), np.eye(count)
    rows = []
    for i, j in combinations(range(count), 2):
        one, two = predictions[i].mean_predictions, predictions[j].mean_predictions
        differ = disagreement(one, two)
        equal[i, j] = equal[j, i] = 1 - differ
        kappas[i, j] = kappas[j, i] = kappa(one, two)
        shares = all(np.allclose(p.sum(axis=1), 1, atol=1e-3) for p in (one, two))  # fitness has no divergence
        bits = f"{divergence(one, two).mean():.3f}" if shares else ""
        rows.append([predictions[i].label, predictions[j].label, f"{1 - differ:.3f}", f"{kappas[i, j]:.3f}", bits])
    columns = ["", "", "equal predictions", "kappa", "Jensen-Shannon divergence, bits"]
    caption = (
        "How often two candidates predict the same class, right or wrong. What disagrees while both are good is worth "
        "putting into an ensemble."
    )
    plots = draw_plot("agreement", caption, agreement_plot, [a.label for a in predictions], equal, kappas)
    note = (
        "Kappa: the agreement beyond that of chance, 0 is that of chance and 1 is equal; divergence: how far the "
        "stated probabilities lie apart, 0 to 1. The prediction of several seeds is that of their mean probabilities."
    )
    return Section("Do their predictions agree?", (), [Table(columns, rows, note)], plots)


def _cost_section(comparison: Comparison) -> Section | None:
    measure = comparison.measure
    caption = (
        f"{comparison.options.split} {measure.name} against what it costs; the dashed line joins the candidates that "
        "nothing as cheap beats (blue). Seconds are those of completed runs and of training the frozen parts of their "
        "networks; candidates of which they are not known are left out."
    )
    plots = draw_plot("cost", caption, cost_plot, comparison.compared_rows, measure.name)
    return Section("Is it worth its cost?", (), (), plots) if plots else None


def _provenance_section(comparison: Comparison) -> Section:
    """The runs, the data, the code and the machine that the figures are of, and what was left out."""
    rows = []
    for predictions in comparison.predictions:
        for run in predictions.candidate.runs:
            tags, config = run.summary.tags, run.config
            rows.append([predictions.label, run.summary.name, run.summary.run_id, str(config.seed), config.dataset.fold,
                         config.dataset.data_signature, tags.get(names.COMMIT, ""), tags.get(names.ENVIRONMENT, ""),
                         _machine(tags)])  # fmt: skip
    columns = ["", "run", "id", "seed", "fold", "data", "commit", "environment", "machine"]
    named = comparison.found.named
    text = [f"Asked for: {', '.join(f'{r.name} ({r.run_id})' for r in named)}."]
    server = web_server()
    where = f", while {command('mlflow')} runs" if server == LOCAL else ""
    shown = [run_page(r.experiment_id, r.run_id, server) for r in named[:MAX_LINKS]]
    text.append(f"In MLflow{where}: {', '.join(shown)}")
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
