"""The best items for users of a run's data set, or for new sequences of items."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from recbole.data import create_dataset
from recbole.data.interaction import Interaction
from recbole.data.transform import construct_transform
from recbole.utils import ModelType, get_model, get_trainer, init_seed
from rich.console import Console
from rich.progress import track

from recbole_samrec.config.validate import RANKS_NOTHING
from recbole_samrec.data.id_types import read_id_type, restore_ids
from recbole_samrec.data.known_history import HISTORY, pad_histories, scores_histories
from recbole_samrec.data.sequences import Sequences, collect_sequences, read_sequences
from recbole_samrec.data.spelling import find_alike
from recbole_samrec.data.temporal_held import CANDIDATES, load_served
from recbole_samrec.data.temporal_options import read_options
from recbole_samrec.data.titles import read_titles
from recbole_samrec.data.validate.layout import Layout
from recbole_samrec.evaluator import full_ranking
from recbole_samrec.evaluator.history_mask import mask_items
from recbole_samrec.integration.event_tensors import convert_events_to_tensors
from recbole_samrec.integration.known_data import DROP, find_changes, list_counts
from recbole_samrec.quick_start.build_trainer import explain_unserved
from recbole_samrec.quick_start.finished_run import load_finished_run
from recbole_samrec.utils.console import print_note
from recbole_samrec.utils.error_messages import raise_as_user_error
from recbole_samrec.utils.errors import ConfigError, DataError
from recbole_samrec.utils.naming import list_some


class Recommender:
    """The trained model of a finished run, for recommendations to users.

    Args:
        run: Folder of a run, or a checkpoint file.
        model: ``file.py:Name`` of your own model; None for other models.
        console: Console for progress and notes; None for standard output.
        settings: Settings that override those of the run.

    Attributes:
        dataset: RecBole's data set with all events, including validation and test events.
        trainer: The trainer, with the trained model.
        mask_history: True if the run's settings mask the history.

    Raises:
        UserError: There is no such run, it is damaged, its model does not rank items, or a setting or the data cannot
            be used.

    Example::

        from recbole_samrec import Recommender, run

        result = run("SAMRec", "ml-100k", epochs=5)
        Recommender(result.folder).recommend(users=["1", "22"], k=5)
    """

    def __init__(
        self, run: str | Path, *, model: str | None = None, console: Console | None = None, **settings: Any
    ) -> None:
        self.console = console or Console()
        self._load(*load_finished_run(run, model, settings, partial(print_note, self.console)))

    @classmethod
    def from_config(cls, config: Any, weights: Path) -> Recommender:
        """Build a recommender from a configuration of RecBole's and a checkpoint of its model.

        Args:
            config: RecBole's configuration.
            weights: The checkpoint, in the folder of its run.
        """
        recommender = cls.__new__(cls)
        recommender.console = Console(quiet=True)
        recommender._load(config, weights)
        return recommender

    def _load(self, config: Any, weights: Path) -> None:
        """Read a run's data and build its model with the weights of a checkpoint.

        For a model that reads sequences the data are read and filtered as for training, but not split, and no table
        of prefixes is made. Others are built on the training part, of which some are made.
        """
        name = config["model"]
        if config["MODEL_TYPE"] == ModelType.DECISIONTREE:
            raise ConfigError(f"{name}: {RANKS_NOTHING}; choose a run of another model")
        self.mask_history = bool(config["mask_history"])
        config["mask_history"], config["training"] = False, "prefix"
        config["known_data"], config["changed_data"] = str(weights.parent), DROP
        init_seed(config["seed"], config["reproducibility"])
        with raise_as_user_error(f"{config['dataset']} cannot be read with these settings", config):
            dataset = create_dataset(config)
            part = _make_events_and_part(config, dataset)
        with raise_as_user_error(f"{name} cannot be built with these settings", config):
            construct_transform(config)  # names the fields that the model may read
            model = get_model(name)(config, part).to(config["device"])
            trainer = get_trainer(config["MODEL_TYPE"], name)(config, model)
        trainer.resume_weights(weights)
        trainer.tot_item_num = dataset.item_num
        trainer.item_tensor = dataset.get_item_feature().to(config["device"])
        self.dataset, self.trainer = dataset, trainer
        self.served = load_served(weights.parent / CANDIDATES, dataset.user_num, dataset.item_num)
        if self.served is not None:
            trainer.excluded_items = torch.from_numpy(~self.served.candidates).to(config["device"])
        for line in _describe_changes(dataset):
            print_note(self.console, line)

    def __repr__(self) -> str:
        """Return model and size of the data."""
        data = self.dataset
        sizes = f"{data.user_num - 1:,} users, {data.item_num - 1:,} items"
        return f"Recommender({self.trainer.config['model']} on {data.dataset_name}: {sizes})"

    def recommend(
        self,
        users: Iterable[Any] | str | None = None,
        k: int = 10,
        *,
        sequences: Any = None,
        mask_history: bool | None = None,
    ) -> pd.DataFrame:
        """Recommend the best items to users of the data set, or for new sequences.

        Args:
            users: Ids of users in the data set, or ``all``. The full history of a user is used, including validation
                and test events.
            k: Number of items for each user or sequence.
            sequences: In place of ``users``, a CSV, TSV or Parquet file or a frame of pandas or polars with the columns
                ``user``, ``item`` and optionally ``timestamp``, or with the names that they have in the run's frame.
            mask_history: Whether to mask the items of each user's own history; None to follow the run's settings.

        Returns:
            One row per recommendation, best first: ``user``, ``rank`` from 1, ``item``, ``score`` and, if the data set
            has titles, ``title``.

        Raises:
            UserError: A user is unknown, the sequences cannot be read, or the model cannot recommend for them.
        """
        chosen = self.find_sequences(users, sequences)
        return self.table(chosen, *self.rank(chosen, k, mask_history))

    def find_sequences(self, users: Iterable[Any] | str | None = None, sequences: Any = None) -> Sequences:
        """Find the histories of users, or read new sequences; see :meth:`recommend` for the arguments and errors."""
        if (users is None) == (sequences is None):
            raise ConfigError("recommend: give either users or sequences")
        return self._drop_unseen(self._find_all(users, sequences))

    def _drop_unseen(self, found: Sequences) -> Sequences:
        """Drop events of items, and users, that the model was not trained on, as its validation and test did."""
        if self.served is None:
            return found
        found = found.select_events(self.served.candidates[found.fields[self.dataset.iid_field].numpy()])
        found = self._drop_unserved(found, found.ends > found.starts, "the model was trained on none of their items")
        config, data = self.trainer.config, self.dataset
        if found.users is None or (reason := explain_unserved(config, self.trainer.model, data.user_num)) is None:
            return found
        reason = f"{config['model']} was not trained on them, and {reason}"
        return self._drop_unserved(found, self.served.users[found.users], reason)

    def _drop_unserved(self, found: Sequences, served: np.ndarray, reason: str) -> Sequences:
        """Drop sequences that cannot be served, with a note of the reason.

        Raises:
            DataError: None can be served.
        """
        if served.all():
            return found
        line = f"no recommendations for {list_some(found.names[~served])}: {reason}"
        if not served.any():
            raise DataError(line)
        print_note(self.console, line)
        return found.select(np.flatnonzero(served))

    def _find_all(self, users: Iterable[Any] | str | None, sequences: Any) -> Sequences:
        dataset = self.dataset
        sequential = dataset.config["MODEL_TYPE"] == ModelType.SEQUENTIAL
        if sequences is not None:
            if not sequential and not scores_histories(self.trainer.model):
                raise ConfigError(f"--sequences: {dataset.config['model']} does not read sequences; use --users")
            source = Path(sequences) if isinstance(sequences, str) else sequences
            found, notes = read_sequences(source, dataset)
            for line in notes:
                print_note(self.console, line)
            return found
        if dataset.benchmark_filename_list is not None and sequential:
            raise DataError(
                f"--users: the samples of {dataset.dataset_name}'s benchmark files are independent, not histories; "
                "give the histories with --sequences"
            )
        histories = collect_sequences(dataset)
        if isinstance(users, str) and users == "all":
            return histories
        chosen = [users] if isinstance(users, str) else users
        tokens = [] if chosen is None else list(map(str, chosen))
        return histories.select(_find_places(tokens, histories.names, dataset))

    def rank(self, sequences: Sequences, k: int, mask_history: bool | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Rank all items for each sequence, with a progress bar on a terminal.

        Args:
            sequences: The sequences.
            k: Number of items.
            mask_history: True to mask the items of a sequence; None for the setting of the run.

        Returns:
            The best items and their scores, as from :meth:`best`.
        """
        mask = self.mask_history if mask_history is None else mask_history
        console = self.console if self.console.is_terminal else Console(quiet=True)
        return self.best(
            sequences, k, mask, lambda parts: track(parts, "recommending", console=console, transient=True)
        )

    @torch.no_grad()
    def best(
        self,
        sequences: Sequences,
        k: int,
        mask_history: bool = False,
        watch: Callable[[Sequence[Any]], Iterable[Any]] = iter,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the best items for each sequence, scored in parts of similar length that fit ``eval_memory``.

        Args:
            sequences: Sequences of items, of known users or new ones.
            k: Number of items for each.
            mask_history: Whether a sequence's own items are masked.
            watch: Passes on the parts, so that the progress may be shown.

        Returns:
            Items and their scores, best first, each of shape ``[S, k]``; the score of a masked item is -inf.

        Raises:
            ConfigError: There are fewer items, or the model reads something that the sequences do not have.
        """
        n_items = self.dataset.item_num - 1 if self.served is None else int(self.served.candidates.sum())
        if not 1 <= k <= n_items:
            raise ConfigError(f"--k={k}: give a number from 1 to {n_items}, the number of items")
        items, scores = np.zeros((len(sequences), k), np.int64), np.zeros((len(sequences), k), np.float32)
        for part, batch in watch(self.split(sequences)):
            best = self.score(batch, mask_history).topk(k)
            items[part], scores[part] = best.indices.cpu().numpy(), best.values.float().cpu().numpy()
        return items, scores

    def split(self, sequences: Sequences) -> list[tuple[np.ndarray, Sequences]]:
        """Split sequences into parts of similar length that fit ``eval_memory``: their numbers, and the sequences."""
        config, inputs = self.trainer.config, (self._batch(sequences.select(slice(1))), self.trainer.item_tensor)
        size = full_ranking.fit_batch_size(config, self.trainer.model, self.dataset.item_num, inputs)
        size = min(size, config["eval_batch_size"])
        order = np.argsort(sequences.starts - sequences.ends, kind="stable")  # the longest first, which need most
        parts = [order[start : start + size] for start in range(0, len(order), size)]
        return [(part, sequences.select(part)) for part in parts]

    @torch.no_grad()
    def score(self, sequences: Sequences, mask_history: bool = False) -> torch.Tensor:
        """Score all items for each of a few sequences.

        Args:
            sequences: A part of :meth:`split`.
            mask_history: Whether a sequence's own items are masked.

        Returns:
            Scores, shape ``[S, items]``; those of padding and of masked items are -inf.

        Raises:
            ConfigError: The model reads something that the sequences do not have.
        """
        self.trainer.model.eval()
        batch = self._batch(sequences)
        try:
            scores = self.trainer.full_scores((batch, None, None, None))[1]
        except KeyError as error:
            remedy = "recommend for --users" if sequences.users is None else "choose a run of another model"
            raise ConfigError(
                f"{self.trainer.config['model']} needs field {error.args[0]}, which is not known before an event "
                f"(known: {', '.join(batch.columns)}); {remedy}"
            ) from error
        if mask_history:
            nothing = np.zeros(0, np.int64)
            mask_items(scores, sequences.list_values(self.dataset.iid_field), nothing, nothing)
        return scores

    def _batch(self, sequences: Sequences) -> Interaction:
        """Make the batch that the model reads: RecBole's lists for models of sequences, and known users."""
        config, columns = self.trainer.config, {}
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            lists, lengths = sequences.take_last(config["MAX_ITEM_LIST_LENGTH"])
            columns = {f"{field}{config['LIST_SUFFIX']}": values for field, values in lists.items()}
            columns[config["ITEM_LIST_LENGTH_FIELD"]] = lengths
        if scores_histories(self.trainer.model):
            columns[HISTORY] = pad_histories(sequences.list_values(self.dataset.iid_field))
        if sequences.users is not None:
            columns[self.dataset.uid_field] = torch.from_numpy(sequences.users)
        batch = self.dataset.join(Interaction(columns))
        if config["MODEL_TYPE"] == ModelType.SEQUENTIAL:
            batch = construct_transform(config)(self.dataset, batch)
        return batch

    def table(self, sequences: Sequences, items: np.ndarray, scores: np.ndarray) -> pd.DataFrame:
        """Make a table of recommendations: user, rank, item, score and, where the data has them, title.

        Ids have the types that they had in the frame of which the data set was made.

        Args:
            sequences: The sequences of the recommendations.
            items: Items, shape ``[S, k]``.
            scores: Their scores, shape ``[S, k]``; items with the score -inf are not recommendations.
        """
        kept = scores > -np.inf
        name, folder = self.dataset.dataset_name, Path(self.dataset.dataset_path)
        tokens = self.dataset.field2id_token[self.dataset.iid_field][items[kept]]
        types = [read_id_type(folder, field) for field in (self.dataset.uid_field, self.dataset.iid_field)]
        columns: dict[str, Any] = {
            "user": restore_ids(np.repeat(sequences.names, kept.sum(1)), types[0]),
            "rank": np.cumsum(kept, axis=1)[kept],
            "item": restore_ids(tokens, types[1]),
            "score": scores[kept],
        }
        titles = read_titles(folder / f"{name}.item", Layout.from_settings(self.trainer.config.final_config_dict))
        if titles is not None:
            columns["title"] = [titles.get(token, "") for token in tokens]
        return pd.DataFrame(columns)


def _make_events_and_part(config: Any, dataset: Any) -> Any:
    """Convert all events of a data set to tensors, and return the data set that the model is built on."""
    sequential = config["MODEL_TYPE"] == ModelType.SEQUENTIAL
    if read_options(config["eval_args"]) and not sequential:
        part = copy.copy(dataset).build()[0]
        convert_events_to_tensors(dataset)
        return part
    return convert_events_to_tensors(dataset) if sequential else dataset.build()[0]


def _describe_changes(dataset: Any) -> list[str]:
    """Describe the differences between the data and those of the run, a line each."""
    name, changes = dataset.dataset_name, find_changes(dataset)
    lines = []
    if changes.new:
        unknown = f"{name} has {list_counts(changes.new, dataset)} that the run does not know"
        if changes.dropped:
            unknown += f"; {changes.dropped:,} of {changes.events + changes.dropped:,} events were left out"
        lines.append(f"{unknown}; train a new run to serve them")
    if changes.gone:
        lines.append(
            f"{name} no longer has {list_counts(changes.gone, dataset)} that the run knows; such items may still be "
            "recommended"
        )
    return lines


def _find_places(tokens: list[str], names: np.ndarray, dataset: Any) -> np.ndarray:
    places = pd.Index(names).get_indexer(tokens)
    absent = [token for token, place in zip(tokens, places, strict=True) if place < 0]
    if absent:
        alike = find_alike(absent, names)
        shown = [alike.there] if alike else names[:3].tolist()
        raise ConfigError(
            f"--users: {dataset.dataset_name} has no events of {list_some(map(repr, absent))} (the run's filters may "
            f"have removed them); its users have ids such as {', '.join(map(repr, shown))}" + _quoting_hint(names)
        )
    return places


def _quoting_hint(names: np.ndarray) -> str:
    """Describe how to write ids with commas, for data sets that have some."""
    found = next((name for name in names if "," in str(name)), None)
    return "" if found is None else f"; write ids with commas as --users='\"{found}\"', or use --users_file"
