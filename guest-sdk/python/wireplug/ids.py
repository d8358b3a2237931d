"""Ids of open requests: those of the protocol and those of the contract.

This module is plain Python: it runs and is tested without a component.
"""

import json

from . import Refused, Rejected

_MAX_U32 = 2**32 - 1


class Ids:
    """The open requests of one direction. Each has a number, which no other open request has.

    `insert` takes the id of the side that sends the request, and returns the number under which the
    other side knows it. `take` takes the number with the response, and returns the id. Numbers
    count from 1 to `largest`, and then from 1 again.

    At most `limit` requests are open. Above that, `insert` raises `Rejected`, or forgets the oldest
    request if `drop_oldest` is true.
    """

    def __init__(self, limit: int, largest: int = _MAX_U32, *, drop_oldest: bool = False):
        if not 1 <= limit <= largest:
            raise ValueError(f"Ids: limit is {limit}, not an integer from 1 to {largest}")
        self._limit = limit
        self._largest = largest
        self._drop_oldest = drop_oldest
        self._last = 0
        # The oldest request is the first.
        self._ids = {}
        self._numbers = {}

    def __len__(self) -> int:
        """Returns the number of open requests."""
        return len(self._ids)

    def insert(self, id: str | int) -> int:
        """Opens a request and returns its number.

        Raises `Rejected` if a request with this id is open already.
        """
        if not _is_id(id):
            raise TypeError(f"Ids: id is a {type(id).__name__}, not a str or an integer")
        if id in self._numbers:
            raise Rejected("a request with this id is open already")
        if len(self._ids) == self._limit:
            if not self._drop_oldest:
                raise Rejected(f"{self._limit} requests are open, and no more are allowed")
            self.take(next(iter(self._ids)))
        number = self._last % self._largest + 1
        while number in self._ids:
            number = number % self._largest + 1
        self._last = number
        self._ids[number] = id
        self._numbers[id] = number
        return number

    def take(self, number: int) -> str | int | None:
        """Closes the request with this number. Returns its id, or None if it is not open."""
        id = self._ids.pop(number, None)
        if id is not None:
            del self._numbers[id]
        return id

    def remove(self, id: str | int) -> int | None:
        """Closes the request with this id. Returns its number, or None if it is not open."""
        number = self._numbers.pop(id, None)
        if number is not None:
            del self._ids[number]
        return number

    def save(self) -> bytes:
        """Returns the open requests, for `Handoff.save`."""
        return json.dumps([self._last, list(self._ids.items())]).encode()

    def restore(self, saved: bytes):
        """Replaces the open requests by those that were saved, for `Handoff.restore`.

        Raises `Refused` if `saved` is not the result of `save`, or does not fit the limits.
        """
        try:
            last, pairs = json.loads(saved)
            is_saved = isinstance(last, int) and all(
                isinstance(number, int) and _is_id(id) for number, id in pairs
            )
        except (ValueError, TypeError):
            is_saved = False
        if not is_saved:
            raise Refused("the saved ids have another format")
        ids = dict(pairs)
        numbers = {id: number for number, id in pairs}
        fit = (
            len(ids) == len(numbers) == len(pairs) <= self._limit
            and all(1 <= number <= self._largest for number in ids)
            and 0 <= last <= self._largest
        )
        if not fit:
            raise Refused("the saved ids do not fit")
        self._ids, self._numbers, self._last = ids, numbers, last


def _is_id(value):
    return isinstance(value, (str, int))
