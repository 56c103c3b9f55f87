from forecasting import pace


def test_the_rest_takes_as_long_as_the_pace_since_work_was_first_heard_of_says(monkeypatch):
    instants = iter([0.0, 10.0, 20.0, 21.0])
    monkeypatch.setattr(pace, "monotonic", lambda: next(instants))
    watched = pace.Pace()
    assert watched.left("train", 20, 100) is None  # what a checkpoint had
    assert watched.left("train", 40, 100) == 30.0
    assert watched.left("contest", 0, 4) is None
    assert watched.left("train", 100, 100) == 0.0


def test_durations_are_told_in_words():
    assert [pace.duration_text(s) for s in (0.2, 99, 100, 5000, 9000)] == ["0 s", "99 s", "2 min", "83 min", "2.5 h"]
