"""Acknowledgements, in the order of the packets."""

from wireplug import Fatal

# A device sends a packet of records and waits for its acknowledgement. After a time-out it may send
# the packet again on the same connection. No honest device comes near this limit.
MAX_WAITING = 16


class Acknowledgements:
    """The packets of records that wait for their acknowledgement.

    A device takes an acknowledgement for the one of its oldest packet. So an acknowledgement waits
    for those before it.
    """

    def __init__(self, last=0, waiting=()):
        """Restores the packets that `save` returned."""
        self._last = last
        # The number of each packet, with its records and whether they are accepted: None while the
        # application has them.
        self._waiting = {number: (records, accepted) for number, records, accepted in waiting}

    def save(self):
        """Returns the arguments that make an equal object."""
        return self._last, [[number, *packet] for number, packet in self._waiting.items()]

    def open(self, records):
        """Adds a packet of so many records. Returns its number."""
        if len(self._waiting) == MAX_WAITING:
            raise Fatal(
                f"{MAX_WAITING} packets wait for their acknowledgement, and no more are allowed"
            )
        self._last += 1
        self._waiting[self._last] = (records, None)
        return self._last

    def close(self, number, accepted):
        """Accepts or refuses the records of a packet.

        Returns the acknowledgements that can be sent now: each is the number of accepted records.
        """
        records, _ = self._waiting[number]
        self._waiting[number] = (records, accepted)
        ready = []
        for number, (records, accepted) in self._waiting.items():
            if accepted is None:
                break
            ready.append((number, records if accepted else 0))
        for number, _ in ready:
            del self._waiting[number]
        return [count for _, count in ready]
