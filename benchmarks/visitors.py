"""Visitors of the dashboard without a browser: sessions over its websocket, on this machine alone."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from websockets.asyncio.client import ClientConnection, connect

_ANSWER = 120.0  # seconds that a visitor waits for a page at most
_LARGEST = 2**26  # bytes of a message


@dataclass
class Seen:
    """What visitors met: seconds of each first page and of each redraw, and errors as they were shown."""

    first: list[float] = field(default_factory=list)
    redraws: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


async def _draw(socket: ClientConnection, page: str, query: str, seen: Seen) -> float:
    """Ask for a page and return the seconds until all of it has come."""
    ask = BackMsg()
    ask.rerun_script.page_name, ask.rerun_script.query_string = page, query
    began = time.perf_counter()
    await socket.send(ask.SerializeToString())
    while True:
        answer = ForwardMsg.FromString(await asyncio.wait_for(socket.recv(decode=False), _ANSWER))
        kind = answer.WhichOneof("type")
        element = answer.delta.new_element
        if kind == "delta" and element.WhichOneof("type") == "exception":
            seen.errors.append(element.exception.message)
        elif kind == "delta" and element.WhichOneof("type") == "alert" and element.alert.format == element.alert.ERROR:
            seen.errors.append(element.alert.body)
        elif kind == "page_not_found":
            seen.errors.append(f"no page {page}")
        elif kind == "script_finished" and answer.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
            return time.perf_counter() - began


async def _visit(port: int, page: str, queries: Sequence[str], pause: float, seen: Seen) -> None:
    try:
        address = f"ws://127.0.0.1:{port}/_stcore/stream"
        async with connect(address, max_size=_LARGEST, open_timeout=_ANSWER, subprotocols=["streamlit"]) as socket:
            seen.first.append(await _draw(socket, page, queries[0], seen))
            for query in queries[1:]:
                await asyncio.sleep(pause)
                seen.redraws.append(await _draw(socket, page, query, seen))
    except (OSError, TimeoutError) as error:
        seen.errors.append(repr(error))


def visit(port: int, page: str, queries: Sequence[Sequence[str]], pause: float) -> Seen:
    """Let visitors see a page at once, and return what they met.

    Parameters
    ----------
    queries : of each visitor, what stands behind the ? of its URL, one after the other
    pause : seconds that each waits before the next
    """
    seen = Seen()

    async def all_of_them() -> None:
        await asyncio.gather(*(_visit(port, page, own, pause, seen) for own in queries))

    asyncio.run(all_of_them())
    return seen
