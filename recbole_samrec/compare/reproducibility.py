"""The reproducibility page of a comparison, from the records of its runs.

Data, splits, search spaces and chosen settings, budgets, seeds, environment, and the code of each model, as required by
ACM Transactions on Recommender Systems.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from recbole_samrec.compare import captions
from recbole_samrec.compare.facts import PageSetting, join_range
from recbole_samrec.compare.layout import NOTHING, Cell, Grid, Made, Page
from recbole_samrec.compare.model_sources import find_source
from recbole_samrec.compare.provenance import Tuning
from recbole_samrec.compare.tuned_settings import SEARCH
from recbole_samrec.experiments.results import Run

END = "-reproducibility"
"""End of the name of the page, after the begin of the names of a data set's files."""
HASHES = {"interactions (sha256)": "sha256", "other files (sha256)": "attributes_sha256"}
COUNTS = ("users", "items", "interactions")
FILTERS = (
    "load_col", "unload_col", "user_inter_num_interval", "item_inter_num_interval", "val_interval",
    "filter_inter_by_user_or_item", "rm_dup_inter", "threshold", "repeatable", "benchmark_filename",
)  # fmt: skip
"""Settings that choose columns and events of a data set."""
VALIDATION = ("valid_metric", "mask_history", "eval_step")
LIMITS = ("epochs", "stopping_step")
COSTS = ("gradient_passes", "cpu_seconds", "seconds_total")


def lay_out_reproducibility(
    runs: Sequence[Run],
    *,
    tuned: Sequence[Tuning] = (),
    chosen: Mapping[str, Mapping[str, Any]] | None = None,
    origins: str = "",
    made: Made | None = None,
) -> Page:
    """Lay out the page of one data set.

    Args:
        runs: Its finished runs under all protocols.
        tuned: How its entries were tuned by searches.
        chosen: For each protocol, what validation runs chose, as in the file ``<dataset>-selected-chosen.json``; None
            if settings were not chosen so.
        origins: Origins of settings that are not defaults, as yaml.
        made: The command, the settings and the work.
    """
    searched = [one for one in tuned if one.budget is not None]
    grids = [_lay_out_data(runs), _lay_out_splits(runs)]
    grids += [_lay_out_searches(tuned), _lay_out_spaces(searched)] if searched else []
    grids += [_lay_out_choices(chosen), *_lay_out_further(chosen), _lay_out_candidates(chosen)] if chosen else []
    grids += [_lay_out_budgets(runs), _lay_out_seeds(runs), _lay_out_environment(runs), _lay_out_code(runs)]
    return Page(
        f"{runs[0].dataset}{', tuned' if tuned else ''}: reproducibility",
        remarks=[captions.REPRODUCIBILITY],
        grids=grids,
        notes=list(_list_departures(runs)),
        origins=origins,
        made=made,
    )


# Data and splits ------------------------------------------------------------------------------------------------------


def _lay_out_data(runs: Sequence[Run]) -> Grid:
    """Lay out hashes, counts and filters."""
    body = [(name, _gather(runs, _read("data", key))) for name, key in HASHES.items()]
    body += [(name, _gather(runs, _read("data", name, "{:,}"))) for name in COUNTS]
    body += [(name, _gather(runs, _read("config", name))) for name in FILTERS]
    return _make_grid("Data", [captions.DATA], ["", "value"], [line for line in body if line[1]])


def _lay_out_splits(runs: Sequence[Run]) -> Grid:
    """Lay out the split and the validation settings of each protocol."""
    by_protocol = _group(runs, lambda run: run.protocol)
    own = {"data set", *COUNTS, "history", "seeds"}
    facts = {}
    for protocol, of_protocol in by_protocol.items():
        facts[protocol] = {name: text for name, text in PageSetting.describe(of_protocol).facts if name not in own}
        facts[protocol] |= {"candidates of a ranking": _gather(of_protocol, _describe_candidates)}
        for key in VALIDATION:
            words = f"validation: {key}"
            facts[protocol][words] = _gather(of_protocol, _read("config", key))
    names = dict.fromkeys(name for one in facts.values() for name in one)
    body = [[name, *(one.get(name) or NOTHING for one in facts.values())] for name in names]
    return _make_grid("Splits", [captions.SPLITS], ["", *(name or "value" for name in by_protocol)], body)


def _describe_candidates(run: Run) -> str | None:
    mode = ((run.result.get("config") or {}).get("eval_args") or {}).get("mode")
    modes = set(mode.values()) if isinstance(mode, Mapping) else {mode}
    return "all items" if modes == {"full"} else None if mode is None else str(mode)


# Search ---------------------------------------------------------------------------------------------------------------


def _lay_out_searches(tuned: Sequence[Tuning]) -> Grid:
    """Lay out the budget of each entry's search."""
    body = []
    for one in tuned:
        budget = one.budget
        if budget is None:
            body.append([one.entry, "not tuned", *[NOTHING] * 7])
            continue
        scheduler = f"{budget.scheduler}, from epoch {budget.grace} on" if budget.grace else budget.scheduler
        seeds = ", ".join(map(str, budget.seeds))
        numbers = [str(budget.trials), budget.search, scheduler, str(budget.epochs), seeds, budget.metric]
        body.append([one.entry, one.folder, *numbers, str(one.trial)])
    header = ["entry", "search", "trials", "drawn by", "stopped by", "epochs", "seeds", "chosen by", "best trial"]
    return _make_grid("Searches", [captions.SEARCHES], header, body)


def _lay_out_spaces(tuned: Sequence[Tuning]) -> Grid:
    """Lay out the searched settings, their values, and the values found."""
    body = []
    for one in tuned:
        for setting, values, found in _read_space(Path(one.folder) / SEARCH):
            body.append([one.entry, setting, values, found])
    return _make_grid("Search spaces", [], ["entry", "setting", "values", "chosen"], body)


def _read_space(file: Path) -> Iterator[tuple[str, str, str]]:
    """Yield name, values and found value of each searched setting."""
    record = json.loads(file.read_text(encoding="utf-8"))
    best = ((record.get("found") or {}).get("best") or {}).get("settings") or {}
    for each in record["space"]["parameters"]:
        if each["values"]:
            values = ", ".join(map(str, each["values"]))
        else:
            step = f" in steps of {each['step']:g}" if each.get("step") else ""
            values = f"{each['kind']}, {each['low']:g} to {each['high']:g}{step}"
        yield each["name"], values, _show(best.get(each["name"]))
    for name, followed in record["space"]["follow"].items():
        yield name, f"that of {followed}", _show(best.get(followed))


def _lay_out_choices(chosen: Mapping[str, Mapping[str, Any]]) -> Grid:
    """Lay out the settings that validation chose for each entry, and the reasons."""
    header = ["entry", *["protocol"] * any(chosen), "seeds", "validation", "chosen", "why", "at the edge", "passes"]
    body = []
    for protocol, content in chosen.items():
        for entry, one in content["entries"].items():
            seeds = ", ".join(map(str, one["seeds"]))
            metric = f"{one['metric'].upper()}, history {one['history']}"
            found = [_show_settings(one["settings"]), one["why"], ", ".join(one["edges"]) or "no"]
            place = [entry, *[protocol] * any(chosen)]
            body.append([*place, seeds, metric, *found, _show_number(one["passes"], ",.1f")])
    return _make_grid("Chosen settings", [content["rule"] for content in chosen.values()][:1], header, body)


def _lay_out_further(chosen: Mapping[str, Mapping[str, Any]]) -> list[Grid]:
    """Lay out the values from which the further candidates of entries with equal passes are made; may be no table."""
    body = []
    for protocol, content in chosen.items():
        for entry, one in content["entries"].items():
            space = (one.get("equal_passes") or {}).get("space") or {}
            body += [[entry, *[protocol] * any(chosen), key, values] for key, values in space.items()]
    header = ["entry", *["protocol"] * any(chosen), "setting", "values"]
    return [_make_grid("Continued searches", [captions.CONTINUED], header, body)] if body else []


def _lay_out_candidates(chosen: Mapping[str, Mapping[str, Any]]) -> Grid:
    """Lay out all candidates of each entry and their validation scores."""
    header = ["entry", *["protocol"] * any(chosen), "settings", "mean", "behind the best", "standard error", "passes"]
    body = []
    for protocol, content in chosen.items():
        for entry, one in content["entries"].items():
            for number, each in enumerate(one["candidates"]):
                name = f"{_show_settings(each['settings'])}{' (chosen)' if number == one['chosen'] else ''}"
                scores = [_show_number(each[key], ".4f") for key in ("mean", "behind_best", "standard_error")]
                place = [entry, *[protocol] * any(chosen)]
                body.append([*place, name, *scores, _show_number(each["passes"], ",.1f")])
    return _make_grid("Candidates", [captions.CANDIDATES], header, body)


def _show_settings(settings: Mapping[str, Any] | None) -> str:
    return ", ".join(f"{key}: {value}" for key, value in (settings or {}).items()) or NOTHING


# Budgets, seeds and environment ---------------------------------------------------------------------------------------


def _lay_out_budgets(runs: Sequence[Run]) -> Grid:
    """Lay out the end of each entry's training, and its cost."""
    header = ["entry", *_place_header(runs), *LIMITS, "epochs run", "best epoch", "gradient passes", "CPU seconds"]
    header += ["seconds", "parameters"]
    body = []
    for place, of_place in _group_places(runs).items():
        limits = [_gather(of_place, _read("config", key)) or NOTHING for key in LIMITS]
        best = [run.result["best_epoch"] + 1 for run in of_place if run.result.get("best_epoch") is not None]
        ranges = [_show_range(_list_numbers(of_place, "epochs_run")), _show_range(best)]
        costs = [
            _show_mean(_list_numbers(of_place, key)) for key in ("gradient_passes", "cpu_seconds", "seconds_total")
        ]
        body.append([*place, *limits, *ranges, *costs, _show_range(_list_numbers(of_place, "parameters"))])
    return _make_grid("Budgets", [captions.BUDGETS], header, body)


def _lay_out_seeds(runs: Sequence[Run]) -> Grid:
    """Lay out the seeds of each entry."""
    body = []
    for place, of_place in _group_places(runs).items():
        seeds = ", ".join(str(run.seed) for run in sorted(of_place, key=lambda run: run.seed))
        body.append([*place, seeds, "yes" if of_place[0].is_deterministic else "no"])
    return _make_grid("Seeds", [captions.SEEDS], ["entry", *_place_header(runs), "seeds", "deterministic"], body)


def _lay_out_environment(runs: Sequence[Run]) -> Grid:
    """Lay out versions, devices and revisions."""
    names = dict.fromkeys(name for run in runs for name in run.result.get("versions") or {})
    body = [(name, _gather(runs, _read("versions", name))) for name in names]
    body.append(("device (threads of a run)", _gather(runs, lambda run: run.result.get("device"))))
    peak = [number / 1024 for number in _list_numbers(runs, "peak_memory_mb")]
    body.append(("memory of a run, at most", f"{max(peak):.1f} GB" if peak else ""))
    body.append(("revision of the code", _gather(runs, lambda run: run.result.get("revision"))))
    return _make_grid("Environment", [captions.ENVIRONMENT], ["", "value"], [line for line in body if line[1]])


# Code -----------------------------------------------------------------------------------------------------------------


def _lay_out_code(runs: Sequence[Run]) -> Grid:
    """Lay out the implementation and the source of each entry's model."""
    body = []
    for entry, model in _list_models(runs).items():
        settings = [run.result.get("config") or {} for run in runs if run.entry == entry]
        code = find_source(model, with_sam=any(one.get("sam_rho") != 0 for one in settings))
        hashes = {one for run in runs if run.entry == entry and (one := run.result.get("source_sha256"))}
        module = ", ".join([code.module, *(f"sha256 {one}" for one in sorted(hashes))])
        body.append([entry, model, module, code.source or NOTHING, ", ".join(code.patches) or NOTHING])
    return _make_grid("Code of the models", [captions.CODE], ["entry", "model", "module", "source", "patches"], body)


def _list_departures(runs: Sequence[Run]) -> Iterator[str]:
    """Yield how each model departs from its source."""
    for model in dict.fromkeys(_list_models(runs).values()):
        if departures := find_source(model).departures:
            yield f"{model}: {departures}"


def _list_models(runs: Sequence[Run]) -> dict[str, str]:
    """Return the model of each entry."""
    return {run.entry: str(run.result.get("model") or run.entry) for run in runs}


# Helpers --------------------------------------------------------------------------------------------------------------


def _read(field: str, key: str, form: str = "{}") -> Callable[[Run], str | None]:
    """Return a function that reads a value inside a field of a run's record; None if it is missing."""

    def read(run: Run) -> str | None:
        value = (run.result.get(field) or {}).get(key)
        return None if value is None else form.format(value)

    return read


def _make_grid(title: str, texts: Sequence[str], header: Sequence[str], body: Iterable[Sequence[str]]) -> Grid:
    name = title.lower().replace(" ", "-")
    return Grid(title, name, list(texts), list(header), [[Cell(text) for text in line] for line in body])


def _group(runs: Iterable[Run], key: Callable[[Run], str]) -> dict[str, list[Run]]:
    groups: dict[str, list[Run]] = {}
    for run in runs:
        groups.setdefault(key(run), []).append(run)
    return groups


def _place_header(runs: Sequence[Run]) -> list[str]:
    """List the columns that distinguish places: protocol and share of the users, if there are several."""
    several = len({run.fraction for run in runs}) > 1
    return [*["protocol"] * any(run.protocol for run in runs), *["users trained on"] * several]


def _group_places(runs: Sequence[Run]) -> dict[tuple[str, ...], list[Run]]:
    """Group runs by entry and by the columns of :func:`_place_header`."""
    header = _place_header(runs)
    groups: dict[tuple[str, ...], list[Run]] = {}
    for run in runs:
        place = {"protocol": run.protocol, "users trained on": f"{100 * run.fraction:g} %"}
        groups.setdefault((run.entry, *(place[name] for name in header)), []).append(run)
    return groups


def _gather(runs: Sequence[Run], read: Callable[[Run], Any]) -> str:
    """Return the value that all runs share, or each value with its entries; empty if no run has one."""
    entries: dict[str, dict[str, None]] = {}
    for run in runs:
        if text := _show(read(run)):
            entries.setdefault(text, {})[run.entry] = None
    everyone = {run.entry for run in runs}
    if all(set(of) == everyone for of in entries.values()):
        return ", ".join(entries)
    return "; ".join(f"{text} ({', '.join(of)})" for text, of in entries.items())


def _list_numbers(runs: Iterable[Run], field: str) -> list[float]:
    return [run.result[field] for run in runs if run.result.get(field) is not None]


def _show(value: Any) -> str:
    return "" if value is None else str(value)


def _show_number(number: float | None, form: str) -> str:
    return NOTHING if number is None else format(number, form)


def _show_range(numbers: Sequence[Any]) -> str:
    return join_range(numbers) if numbers else NOTHING


def _show_mean(numbers: Sequence[float]) -> str:
    return f"{statistics.fmean(numbers):,.0f}" if numbers else NOTHING
