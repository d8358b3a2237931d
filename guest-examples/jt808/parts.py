"""Messages that come in parts.

The parts of a message have serial numbers in sequence. They may come in any order and more than
once. If some are missing, the platform asks for them (0x8003), and the terminal sends them again as
they were. After that the platform gives up.
"""

from wireplug import Rejected

# The longest message has about 16 KiB: half a thousand locations, which take some 20 ms to decode.
MAX_PARTS = 16

# A terminal sends one message after the other. A second one may begin before the lost parts of the
# first one have come.
MAX_OPEN = 4

# How long the platform waits for the next part before it asks for those that are missing.
WAIT_MS = 5_000
MAX_TRIES = 2


class _Message:
    """A message of which parts are missing."""

    def __init__(self, total, deadline, tries=0, bodies=None):
        self.total = total
        # When to ask for the missing parts, in milliseconds of the session.
        self.deadline = deadline
        self.tries = tries
        # The bodies of the parts that have come, by their numbers.
        self.bodies = bodies or {}

    def missing(self):
        return [part for part in range(1, self.total + 1) if part not in self.bodies]


class Parts:
    """The messages of a session of which parts are missing."""

    def __init__(self):
        # By the id of the message and the serial number of its first part.
        self._messages = {}

    def add(self, packet, now_ms):
        """Adds a part. Returns the whole body if no part is missing any more, or None."""
        key = packet.id, packet.serial - (packet.part - 1) & 0xFFFF
        message = self._messages.get(key) or self._open(key, packet.parts, now_ms)
        if message.total != packet.parts:
            raise Rejected(
                f"the message has {message.total} parts, and this one says {packet.parts}"
            )
        message.deadline = now_ms + WAIT_MS
        message.bodies[packet.part] = packet.body
        if len(message.bodies) < message.total:
            return None
        del self._messages[key]
        return b"".join(body for _, body in sorted(message.bodies.items()))

    def _open(self, key, total, now_ms):
        if total > MAX_PARTS:
            raise Rejected(f"the message has {total} parts, and at most {MAX_PARTS} are allowed")
        if len(self._messages) == MAX_OPEN:
            raise Rejected(f"parts of {MAX_OPEN} messages are missing, and no more are allowed")
        message = self._messages[key] = _Message(total, now_ms + WAIT_MS)
        return message

    def overdue(self, now_ms):
        """Returns the messages whose parts have been missing for too long.

        Each is its id, the serial number of its first part, the numbers of the missing parts, and
        whether the platform gives up on it.
        """
        overdue = []
        for key, message in list(self._messages.items()):
            if now_ms < message.deadline:
                continue
            is_given_up = message.tries == MAX_TRIES
            overdue.append((*key, message.missing(), is_given_up))
            message.tries += 1
            message.deadline = now_ms + WAIT_MS
            if is_given_up:
                del self._messages[key]
        return overdue

    def delay(self, now_ms):
        """Returns the milliseconds until a message is overdue, or None if no part is missing."""
        deadlines = [message.deadline for message in self._messages.values()]
        return min(deadlines) - now_ms if deadlines else None

    def save(self):
        """Returns a list that `restore` takes."""
        return [
            [
                *key,
                it.total,
                it.deadline,
                it.tries,
                {part: body.hex() for part, body in it.bodies.items()},
            ]
            for key, it in self._messages.items()
        ]

    def restore(self, saved):
        """Restores the messages that `save` returned."""
        for id, first, total, deadline, tries, bodies in saved:
            bodies = {int(part): bytes.fromhex(body) for part, body in bodies.items()}
            self._messages[id, first] = _Message(total, deadline, tries, bodies)
