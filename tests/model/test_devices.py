import torch
from threadpoolctl import threadpool_info, threadpool_limits

from forecasting.model.devices import one_thread


def _threads():
    return {torch.get_num_threads(), *(library["num_threads"] for library in threadpool_info())}


def test_numpy_and_torch_work_on_one_thread_and_on_as_many_as_before_afterwards():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with threadpool_limits(2):
            assert _threads() == {2}
            with one_thread(), one_thread():
                assert _threads() == {1}
            assert _threads() == {2}
    finally:
        torch.set_num_threads(before)
