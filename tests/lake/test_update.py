import pytest

from mlops_assets.lake.state import UPDATE_ATTEMPTS, StateConflict, open_state, update


@pytest.fixture
def state(place):
    return open_state(place)


def overtaken(state, times):
    """Return a change that adds a letter, and that another writer overtakes so many times."""
    left = iter(range(times))

    def change(stored):
        word = (stored or {"word": ""})["word"]
        if next(left, None) is not None:
            generation = (state.read("k") or (None, 0))[1]
            state.swap("k", {"word": word + "b"}, generation=generation)
        return {"word": word + "a"}

    return change


@pytest.mark.parametrize(("times", "word"), [(0, "a"), (1, "ba"), (3, "bbba")])
def test_a_change_is_applied_to_what_the_other_writer_left(state, times, word):
    assert update(state, "k", overtaken(state, times))[0] == {"word": word}
    assert state.read("k")[0] == {"word": word}


def test_it_gives_up_rather_than_overwrite(state):
    with pytest.raises(StateConflict):
        update(state, "k", overtaken(state, UPDATE_ATTEMPTS))
    assert state.read("k")[0] == {"word": "b" * UPDATE_ATTEMPTS}


def test_no_change_writes_nothing(state):
    state.put_if_absent("k", {"word": "a"})
    before = state.read("k")
    update(state, "k", dict)
    assert state.read("k") == before
