"""The command ``recommend``: the best items for users of a run's data set, or for new sequences of items."""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data import create_dataset
from recbole.data.dataset import Dataset
from recbole.data.interaction import Interaction
from recbole.data.transform import construct_transform
from recbole.utils import ModelType, get_model, get_trainer, init_seed
from rich.console import Console
from rich.markup import escape
from rich.progress import track
from rich.table import Table

from recbole_samrec.data.sequences import Sequences, of_dataset, read_sequences
from recbole_samrec.data.titles import read_titles
from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.evaluator import full_ranking
from recbole_samrec.evaluator.history_mask import mask_items
from recbole_samrec.utils import checkpoint_io
from recbole_samrec.utils.error_messages import raise_as_user_error
from recbole_samrec.utils.errors import ConfigError, DataError

SHOWN = 20
"""Most users whose recommendations are shown on a terminal."""
WRITERS = {".csv": ",", ".tsv": "\t", ".parquet": None}
"""Kinds of files that can be written, and what separates their columns."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command ``recommend`` to a parser."""
    parser.add_argument("run", metavar="RUN", type=Path, help="folder of a run, or a checkpoint file")
    whom = parser.add_mutually_exclusive_group(required=True)
    whom.add_argument("--users", metavar="LIST|all", help="users of the data set, separated by commas, or all of them")
    whom.add_argument("--sequences", metavar="FILE", type=Path, help="CSV or TSV with columns user, item[, timestamp]")
    parser.add_argument("--k", type=int, default=10, metavar="N", help="items for each (default: 10)")
    parser.add_argument("--mask_history", action="store_true", help="leave out the items that one had before")
    parser.add_argument("--out", type=Path, metavar="FILE", help=f"file to write: {', '.join(WRITERS)}")
    parser.add_argument("--overwrite", action="store_true", help="replace that file if it exists")
    parser.add_argument("--model", metavar="file.py:NAME", help="where a model of your own is")


def main(arguments: argparse.Namespace, config: Any, weights: Path, console: Console) -> int:
    """Recommend, and write or show it.

    Args:
        arguments: What :func:`add_arguments` declares, parsed.
        config: The run's configuration.
        weights: The checkpoint.
        console: Where results and notes are printed.

    Returns:
        0; everything that can go wrong is raised.

    Raises:
        UserError: The arguments, the data or the checkpoint cannot be used.
    """
    if arguments.out:
        check_output(arguments.out, arguments.overwrite)
    recommender = Recommender.of_run(config, weights)
    sequences, notes = _wanted(arguments, recommender.dataset)
    for note in notes:
        console.print(f"note: {escape(note)}", highlight=False, soft_wrap=True)
    shown = sequences if arguments.out else sequences.chosen(slice(SHOWN))
    mask = arguments.mask_history or bool(config["mask_history"])
    watched = console if console.is_terminal else Console(quiet=True)
    items, scores = recommender.best(shown, arguments.k, mask, lambda parts: _watched(parts, watched))
    frame = recommender.table(shown, items, scores)
    if arguments.out:
        write(frame, arguments.out)
        said = f"{len(frame):,} recommendations for {len(shown):,} users in {arguments.out}"
        console.print(escape(said), highlight=False, soft_wrap=True)
    else:
        _show(frame, console)
        if len(shown) < len(sequences):
            said = f"the first {SHOWN} of {len(sequences):,} users; --out=FILE writes all"
            console.print(said, highlight=False, soft_wrap=True)
    return 0


def _watched(parts: Sequence[Any], console: Console) -> Iterable[Any]:
    return track(parts, "recommending", console=console, transient=True)


def _wanted(arguments: argparse.Namespace, dataset: Any) -> tuple[Sequences, list[str]]:
    if arguments.sequences:
        if dataset.config["MODEL_TYPE"] != ModelType.SEQUENTIAL:
            raise ConfigError(f"--sequences: {dataset.config['model']} reads no sequences; recommend for --users")
        return read_sequences(arguments.sequences, dataset)
    if dataset.benchmark_filename_list is not None and dataset.config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
        raise DataError(
            f"--users: the rows of {dataset.dataset_name}'s benchmark files stand alone and are no histories; "
            "give the histories by --sequences"
        )
    histories = of_dataset(dataset)
    if arguments.users == "all":
        return histories, []
    tokens = [token.strip() for token in arguments.users.split(",")]
    return histories.chosen(_places(tokens, histories.names, dataset)), []


def _places(tokens: list[str], names: np.ndarray, dataset: Any) -> np.ndarray:
    places = pd.Index(names).get_indexer(tokens)
    unknown = [repr(token) for token, place in zip(tokens, places, strict=True) if place < 0]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        raise ConfigError(
            f"--users: {dataset.dataset_name} has no events of {', '.join(unknown[:3])}{more} (the run's filters may "
            f"have left them out); its users are called as {', '.join(map(repr, names[:3].tolist()))}"
        )
    return places


@dataclass(frozen=True)
class Recommender:
    """A trained model and its data.

    Args:
        dataset: RecBole's data set with all events, also those that were held out for validation and test.
        trainer: Our trainer, with the trained model.
    """

    dataset: Any
    trainer: Any

    @classmethod
    def of_run(cls, config: Any, weights: Path) -> Recommender:
        """Read a run's data and build its model with the weights of a checkpoint.

        For a model that reads sequences the data are read and filtered as for training, but not split, and no table
        of prefixes is made. Others are built on the training part, of which some are made.

        Raises:
            UserError: The model cannot recommend, or RecBole does not take the data or the settings.
        """
        name = config["model"]
        if config["MODEL_TYPE"] == ModelType.DECISIONTREE:
            raise ConfigError(f"{name} judges rows of features and ranks no items; choose a run of another model")
        config["mask_history"], config["training"] = False, "prefix"
        init_seed(config["seed"], config["reproducibility"])
        with raise_as_user_error(f"{config['dataset']} cannot be read with these settings", config):
            dataset = create_dataset(config)
            part = _unsplit(dataset) if config["MODEL_TYPE"] == ModelType.SEQUENTIAL else dataset.build()[0]
        with raise_as_user_error(f"{name} cannot be built with these settings", config):
            construct_transform(config)  # names the fields that the model may read
            model = get_model(name)(config, part).to(config["device"])
            trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        trainer.resume_weights(weights)
        trainer.tot_item_num = dataset.item_num
        trainer.item_tensor = dataset.get_item_feature().to(config["device"])
        return cls(dataset, trainer)

    @torch.no_grad()
    def best(
        self,
        sequences: Sequences,
        k: int,
        mask_history: bool = False,
        watch: Callable[[Sequence[Any]], Iterable[Any]] = iter,
    ) -> tuple[np.ndarray, np.ndarray]:
        """The best items for each sequence, scored in parts of about equal length that keep within ``eval_memory``.

        Args:
            sequences: Sequences of items, of known users or new ones.
            k: Number of items for each.
            mask_history: Whether a sequence's own items are left out.
            watch: Passes on the parts, so that the progress may be shown.

        Returns:
            Items and their scores, best first, each of shape ``[S, k]``; the score of what is left out is -inf.

        Raises:
            ConfigError: There are fewer items, or the model reads something that the sequences do not have.
        """
        n_items, config = self.dataset.item_num, self.trainer.config
        if not 1 <= k < n_items:
            raise ConfigError(f"--k={k}: give a number from 1 to {n_items - 1}, the number of items")
        items, scores = np.zeros((len(sequences), k), np.int64), np.zeros((len(sequences), k), np.float32)
        inputs = (self._batch(sequences.chosen(slice(1))), self.trainer.item_tensor)
        rows = full_ranking.fit_batch_size(config, self.trainer.model, n_items, inputs)
        rows = min(rows, config["eval_batch_size"])
        order = np.argsort(sequences.starts - sequences.ends, kind="stable")  # the longest first, which need most
        self.trainer.model.eval()
        for part in watch([order[start : start + rows] for start in range(0, len(order), rows)]):
            best = self._scores(sequences.chosen(part), mask_history).topk(k)
            items[part], scores[part] = best.indices.cpu().numpy(), best.values.float().cpu().numpy()
        return items, scores

    def _scores(self, sequences: Sequences, mask_history: bool) -> torch.Tensor:
        batch = self._batch(sequences)
        try:
            scores = self.trainer.full_scores((batch, None, None, None))[1]
        except KeyError as error:
            remedy = "recommend for --users" if sequences.users is None else "choose a run of another model"
            raise ConfigError(
                f"{self.trainer.config['model']} reads {error.args[0]}, and all that is known before an event is "
                f"{', '.join(batch.columns)}; {remedy}"
            ) from error
        if mask_history:
            nothing = np.zeros(0, np.int64)
            mask_items(scores, sequences.values(self.dataset.iid_field), nothing, nothing)
        return scores

    def _batch(self, sequences: Sequences) -> Interaction:
        """What the model reads of sequences: RecBole's lists for models of sequences, and known users."""
        config, columns = self.trainer.config, {}
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            lists, lengths = sequences.rows(config["MAX_ITEM_LIST_LENGTH"])
            columns = {f"{field}{config['LIST_SUFFIX']}": values for field, values in lists.items()}
            columns[config["ITEM_LIST_LENGTH_FIELD"]] = lengths
        if sequences.users is not None:
            columns[self.dataset.uid_field] = torch.from_numpy(sequences.users)
        batch = self.dataset.join(Interaction(columns))
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            batch = construct_transform(config)(self.dataset, batch)
        return batch

    def table(self, sequences: Sequences, items: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
        """Recommendations for people to read: user, rank, item, score and, where the data has them, title.

        Args:
            sequences: Those that were recommended for.
            items: Items, shape ``[S, k]``.
            scores: Their scores, shape ``[S, k]``; items with the score -inf are no recommendations.
        """
        kept = scores > -np.inf
        tokens = self.dataset.field2id_token[self.dataset.iid_field][items[kept]]
        columns = {
            "user": np.repeat(sequences.names, kept.sum(1)),
            "rank": np.cumsum(kept, axis=1)[kept],
            "item": tokens,
            "score": scores[kept],
        }
        name, folder = self.dataset.dataset_name, Path(self.dataset.dataset_path)
        titles = read_titles(folder / f"{name}.item", Layout.of(self.trainer.config.final_config_dict))
        if titles is not None:
            columns["title"] = [titles.get(token, "") for token in tokens]
        return pd.DataFrame(columns)


def _unsplit(dataset: Any) -> Any:
    """Turn a data set that was read into tensors, one row an event, with the names of RecBole's lists."""
    Dataset._change_feat_format(dataset)  # a sequential data set's own method makes the table of prefixes besides
    if dataset.benchmark_filename_list is None:
        dataset._aug_presets()
    return dataset


def check_output(file: Path, overwrite: bool) -> None:
    """Check that a file can be written before anything is computed.

    Raises:
        ConfigError: It exists already, its folder does not, or its kind is not known or cannot be written here.
    """
    if file.suffix not in WRITERS:
        raise ConfigError(f"--out={file}: name a file that ends in {', '.join(WRITERS)}")
    if file.suffix == ".parquet" and importlib.util.find_spec("pyarrow") is None:
        raise ConfigError(f"--out={file}: Parquet needs pyarrow; pip install pyarrow, or name a .csv file")
    if not file.parent.is_dir():
        raise ConfigError(f"--out={file}: there is no folder {file.parent}; make it first")
    if file.exists() and not overwrite:
        raise ConfigError(f"--out={file}: it exists; add --overwrite to replace it, or name another")


def write(frame: pd.DataFrame, file: Path) -> None:
    """Write a table so that the file is at every moment either the old one or the new one.

    Raises:
        ConfigError: It cannot be written.
    """
    try:
        with checkpoint_io.writing(file) as stream:
            if file.suffix == ".parquet":
                frame.to_parquet(stream, index=False)
            else:
                frame.to_csv(stream, sep=WRITERS[file.suffix], index=False, mode="wb", encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"--out={file}: it cannot be written ({error.strerror or error}); name another") from error


def _show(frame: pd.DataFrame, console: Console) -> None:
    table = Table()
    for column in frame:
        table.add_column(column, justify="right" if column in ("rank", "score") else "left")
    for user, rows in frame.groupby("user", sort=False):
        for number, row in enumerate(rows.itertuples(index=False)):
            cells = [f"{cell:.4f}" if isinstance(cell, float) else escape(str(cell)) for cell in row]
            table.add_row("" if number else escape(str(user)), *cells[1:], end_section=number == len(rows) - 1)
    console.print(table)
