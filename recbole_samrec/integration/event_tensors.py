"""A data set of RecBole as tensors, one line for each event, as recommendation requires."""

from __future__ import annotations

from typing import Any

from recbole.data.dataset import Dataset, SequentialDataset


def convert_events_to_tensors(dataset: Any) -> Any:
    """Convert a loaded data set to tensors, one line for each event, with the names of RecBole's lists.

    RecBole converts while it splits, and makes its table of prefixes then. It has no public function that converts
    alone, so two private ones are called here.

    Args:
        dataset: RecBole's data set, as ``create_dataset`` returns it; it is changed.
    """
    Dataset._change_feat_format(dataset)  # the method of sequential data sets also makes the table of prefixes
    if dataset.benchmark_filename_list is None and isinstance(dataset, SequentialDataset):
        dataset._aug_presets()
    return dataset
