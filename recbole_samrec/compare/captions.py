"""The fixed text under the tables of a comparison; everything that varies is in the tables themselves."""

from __future__ import annotations

ACCURACY = """\
Mean ± sample standard deviation over seeds. Best of each column bold, second underlined. MRR is not cut off. Gain: the
reference, which is the first entry, relative to the best other entry trained without SAM."""
DIFFERENCES = """\
Entry minus reference, of each user's metric averaged over seeds; n is the number of users. The 95 % CI and p are those
of one t test over users and seeds: they are for other users and for models trained with other seeds. Seeds of a
deterministic entry, such as Pop, have no variance; any other entry with one seed has no interval. MDE (minimal
detectable effect) is the true difference that the test would find (p < 0.05) with 80 % power."""
EXPLORATORY = """\
Exploratory: p is not corrected for the number of comparisons, and no difference is marked. Primary comparisons are
declared in a file of entries."""
DECLARED = {
    "difference": DIFFERENCES
    + """ These comparisons were declared, and p (Holm) is corrected for all of them, on all data sets and under all
protocols of this comparison. One that has no interval yet counts with p = 1.""",
    "equivalence": """\
Entry minus reference. Two one-sided t tests over users and seeds: equivalent if the difference is above -margin and
below the margin, which was declared in percent of the reference's mean. p is the larger of both; it is below 0.05 if
the 90 % CI lies within the margins. p (Holm) is corrected for all declared equivalences on all data sets and under all
protocols of this comparison. One that has no interval yet counts with p = 1.""",
}
OTHER_FORM = {
    False: "The declared comparisons are made with the history unmasked, as in validation; this page is exploratory.",
    True: "The declared comparisons are made with the history masked, as in validation; this page is exploratory.",
}
"""Sentences on pages whose rankings have the other form than the declared comparisons."""
CHOSEN_FORM = {
    False: "Settings were chosen by validation with the history unmasked; this page is exploratory.",
    True: "Settings were chosen by validation with the history masked; this page is exploratory.",
}
"""Sentences on pages whose rankings have the other form than the validation that chose the settings."""
RULE = """\
Settings are chosen by the best validation score, averaged over the seeds of selection, which are not those of the
table; these runs are not tested. The best mean decides all settings but sam_rho. Of the candidates that differ from the
best one in sam_rho alone, the smallest wins that is within one standard error of it: the standard deviation of the
differences between runs of one seed, divided by the square root of the number of seeds. Edge: the best value is the
smallest or the largest of the candidates with a score of each seed. Passes are the gradient passes of all these
runs."""
EQUAL_PASSES = """\
The search of an entry with equal passes continued until it had taken the gradient passes of its entry with SAM:
searches, selection and runs. The first added candidate is the chosen one with doubled epochs and stopping_step.
Validation chose among all. As far as its runs, which are trained afterwards, take the passes of the selection's runs,
the budget is exceeded by less than the last candidate and, if that became the best one, what its runs take more."""
VERDICTS = """\
SAM helps an entry only if it is better in the primary metric than the plain entry, also with equal passes if that is
compared, and than both controls, a random direction and weight averaging, each with p < 0.05 after Holm's correction.
Differences are those of the entry with SAM minus the other one. Controls count if they have as many candidates, are
tuned as the same entry and were searched in as many trials. Tuned: whether the other settings are those of another
entry (as), were chosen with SAM, or were not tuned."""
COST = """\
Parameters, median seconds per epoch, seconds to the best epoch including pre-training, gradient passes and CPU seconds
are means over seeds; memory is the maximum. Seconds count training only, without validation and start-up. Runs that
share a machine are slower: seconds rank the entries only if each run had the machine to itself. A gradient pass is one
backward pass over the training set, of all stages and epochs; an epoch with SAM takes two. CPU seconds are those of the
whole run."""
COST_UNKNOWN = "Runs of earlier versions recorded neither gradient passes nor CPU seconds."
GROUPS = """\
Mean ± sample standard deviation over seeds; n is the number of test events. Best of each column bold, second
underlined."""
FRACTIONS = """\
Mean ± sample standard deviation over seeds, by the share of users, drawn by seed, that the models are trained on; all
users are tested. Best of each column bold, second underlined."""
TUNING = """\
Each tuned entry has the settings of its best trial, chosen by the metric on validation data; the others have their
defaults. Entries with different budgets are not compared on equal terms."""
SELECTED = """\
Settings were chosen by validation among the candidates that the file of entries declares; see the chosen settings."""
UNTUNED = "No entry was tuned by a search: entries of one family share architecture, dropout, learning rate and batch."
PROTOCOL = {
    False: "Test items are ranked among all items, including the user's history (history unmasked), as in RecBole.",
    True: "Test items are ranked among the items that are not in the user's history (history masked).",
}
"""Sentences on the ranking of test items, by whether the history is masked."""
HISTORY = {False: "unmasked", True: "masked"}
"""The form of the history in rankings, by whether it is masked."""
VALIDATION = "Validation, which decided when training stopped, ranked"
"""Begin of the sentence on the validation of runs that were tested in another form."""
LEAKS = """\
Leave-one-out leaks across time: models are trained on events of other users that happened after a test event."""
AGREEMENT = """\
Kendall's tau-b between the means of the entries under two protocols: 1 if both order the entries alike, -1 if one
reverses the other. The 95 % interval is that of a bootstrap over users and seeds: both are drawn with replacement, the
users of each protocol and the seeds of each entry. Protocols that differ only in their targets share the draws, as they
have the same users and the same trained models."""
COMPARABLE = """\
Published numbers are comparable only under the same split, ranking, history mask and data preparation."""
REPRODUCIBILITY = """\
Everything needed to reproduce this comparison, from the records of its runs (result.json). A value that only some
entries have is followed by their names."""
DATA = """\
Counts are those after the filters. The hashes are those of the .inter files, and of the .user, .item, .kg and .link
files that are read."""
SPLITS = "Every entry has the same training, validation and test events, and ranks the same candidates."
SEARCHES = "Budgets of the searches whose best trials gave the settings; an entry without one has its defaults."
CONTINUED = """\
Equal passes: after the candidate with doubled epochs and patience, further candidates are made of these values, in a
random but fixed order."""
CANDIDATES = """\
Every candidate of each entry: mean validation score over the seeds, how far it is behind the best, the standard error
of that difference, and the gradient passes of all its runs."""
BUDGETS = """\
Training stops when the validation metric has not improved for stopping_step evaluations, or after the given number of
epochs. A gradient pass is one backward pass over a stage's training set. Passes, CPU seconds and seconds are means over
the runs, of all stages, without searches."""
SEEDS = """\
One run for each seed, which sets the weights, the order of samples, dropout and negatives. The split does not depend on
it. A deterministic entry gives the same ranks with every seed."""
ENVIRONMENT = "Versions, devices and revisions of the code of all runs."
CODE = """\
The module of each model, of RecBole (recbole) or of this package (recbole_samrec), what it implements by its
docstring, and the patches of this package that change the model itself; docs/explanation/patches.md lists all
patches."""
"""Sentences on the page of reproducibility."""
