"""The fixed text under the tables of a comparison; everything that varies is in the tables themselves."""

from __future__ import annotations

ACCURACY = """\
Mean ± sample standard deviation over seeds. Best of each column bold, second underlined. MRR is not cut off. Gain: the
reference, which is the first entry, relative to the best other entry trained without SAM."""
DIFFERENCES = """\
Entry minus reference, of each user's metric averaged over seeds; n is the number of users. The 95 % CI over users is
for other users of the models as trained; the 95 % CI over users and seeds is also for models trained with other seeds,
and is missing where an entry has one seed (Student's t, not corrected for several comparisons). p is that of a
two-sided paired randomization test over users. p (Holm) is corrected for the comparisons of one metric in this table.
The marks use the 95 % CI over users and seeds."""
COST = """\
Parameters, median seconds per epoch, and seconds to the best epoch including pre-training are means over seeds; memory
is the maximum. Seconds count training only, without validation and start-up. Runs that share a machine are slower:
seconds rank the entries only if each run had the machine to itself."""
GROUPS = """\
Mean ± sample standard deviation over seeds; n is the number of test events. Best of each column bold, second
underlined."""
FRACTIONS = """\
Mean ± sample standard deviation over seeds, by the share of users, drawn by seed, that the models are trained on; all
users are tested. Best of each column bold, second underlined."""
TUNING = """\
Each tuned entry has the settings of its best trial, chosen by the metric on validation data; the others have their
defaults. Entries with different budgets are not compared on equal terms."""
UNTUNED = "No entry was tuned by a search: entries of one family share architecture, dropout, learning rate and batch."
PROTOCOL = {
    False: "Test items are ranked among all items, including the user's history (history unmasked), as in RecBole.",
    True: """\
Test items are ranked among the items that are not in the user's history (history masked). Validation, which decided
when training stopped, ranked with the history unmasked.""",
}
"""Sentences on the ranking of test items, by whether the history is masked."""
LEAKS = """\
Leave-one-out leaks across time: models are trained on events of other users that happened after a test event."""
AGREEMENT = """\
Kendall's tau-b between the means of the entries under two protocols: 1 if both order the entries alike, -1 if one
reverses the other. The 95 % interval is that of a bootstrap over users and seeds: both are drawn with replacement, the
users of each protocol and the seeds of each entry. Protocols that differ in their targets only share the draws, as they
have the same users and the same trained models."""
COMPARABLE = """\
Published numbers are comparable only under the same split, ranking, history mask and data preparation."""
