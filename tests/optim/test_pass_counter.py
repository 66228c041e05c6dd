import pytest

from recbole_samrec.optim.pass_counter import PassCounter


def count_epoch(counter, sizes, repeated=()):
    counter.begin_epoch()
    for number, size in enumerate(sizes):
        counter.begin_batch(size)
        if number in repeated:
            counter.repeat_batch()
    counter.end_epoch()


@pytest.mark.parametrize("sizes", [[4, 4, 4], [7, 7, 3], [1], [3] * 10 + [1]])
def test_pass_counter__counts_whole_epochs_exactly(sizes):
    counter = PassCounter()
    for epoch in range(1, 4):
        count_epoch(counter, sizes)
        assert counter.total == epoch
    count_epoch(counter, sizes, repeated=range(len(sizes)))
    assert counter.total == 5


def test_pass_counter__weights_batches_by_their_samples():
    counter = PassCounter()
    count_epoch(counter, [4, 4, 2], repeated=[2])
    assert counter.total == 1.2
    count_epoch(counter, [4, 4, 2], repeated=[0])
    assert counter.total == pytest.approx(1.2 + 1.4)


def test_pass_counter__forgets_an_epoch_that_did_not_end():
    counter = PassCounter()
    counter.begin_epoch()
    counter.begin_batch(5)
    count_epoch(counter, [5, 5])
    assert counter.total == 1


def test_pass_counter__stays_unknown():
    counter = PassCounter()
    counter.total = None
    count_epoch(counter, [5])
    assert counter.total is None
