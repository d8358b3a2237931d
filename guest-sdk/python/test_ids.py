"""Tests of the ids of open requests, which need no bindings."""

import json
import unittest

from wireplug import Refused, Rejected
from wireplug.ids import Ids


class IdsTest(unittest.TestCase):
    def test_a_number_gives_its_id_once(self):
        ids = Ids(4)
        self.assertEqual([ids.insert("a"), ids.insert(70_000)], [1, 2])
        self.assertEqual([ids.take(2), ids.take(1), ids.take(1)], [70_000, "a", None])
        self.assertEqual(len(ids), 0)

    def test_an_id_gives_its_number_once(self):
        ids = Ids(4)
        number = ids.insert("a")
        self.assertEqual([ids.remove("b"), ids.remove("a"), ids.remove("a")], [None, number, None])
        self.assertIsNone(ids.take(number))
        self.assertEqual(len(ids), 0)

    def test_numbers_begin_again_after_the_largest_and_skip_open_ones(self):
        ids = Ids(3, 3)
        self.assertEqual([ids.insert(id) for id in "abc"], [1, 2, 3])
        ids.take(2)
        self.assertEqual(ids.insert("d"), 2)
        ids.take(1)
        ids.take(3)
        self.assertEqual([ids.insert("e"), ids.insert("f")], [3, 1])

    def test_an_id_is_open_once(self):
        ids = Ids(4)
        ids.insert("a")
        with self.assertRaisesRegex(Rejected, "^a request with this id is open already$"):
            ids.insert("a")
        ids.take(1)
        self.assertEqual(ids.insert("a"), 2)

    def test_above_the_limit_a_request_is_rejected(self):
        ids = Ids(2)
        ids.insert("a")
        ids.insert("b")
        with self.assertRaisesRegex(Rejected, "^2 requests are open, and no more are allowed$"):
            ids.insert("c")
        self.assertEqual([ids.take(1), ids.take(2)], ["a", "b"])

    def test_above_the_limit_the_oldest_request_is_dropped_on_demand(self):
        ids = Ids(2, 2, drop_oldest=True)
        self.assertEqual([ids.insert(id) for id in "abc"], [1, 2, 1])
        self.assertEqual([ids.take(1), ids.take(2), ids.remove("a")], ["c", "b", None])

    def test_saved_requests_are_restored_in_their_order(self):
        ids = Ids(2, drop_oldest=True)
        for id in ("a", "b", 7):
            ids.insert(id)
        restored = Ids(2, drop_oldest=True)
        restored.insert("old")
        restored.restore(ids.save())
        self.assertEqual(restored.save(), ids.save())
        self.assertEqual(restored.insert("\ud800é"), 4)
        self.assertEqual([restored.take(2), restored.take(3)], [None, 7])
        restored.restore(restored.save())
        self.assertEqual([restored.take(4), restored.remove("old")], ["\ud800é", None])

    def test_saved_requests_that_do_not_fit_are_refused(self):
        ids = Ids(2, 9)
        ids.insert("a")
        for saved in (
            *(b"", b"\xff", b"7", b"null", b"{}", b"[1]", b"[1,2]", b"[1,[2]]", b"[1,[[2]]]"),
            *([-1, []], [10, []], ["1", []], [1, [[0, "a"]]], [1, [[10, "a"]]], [1, [["1", "a"]]]),
            *([1, [[1, None]]], [1, [[1, ["a"]]]], [3, [[1, "a"], [2, "b"], [3, "c"]]]),
            *([2, [[1, "a"], [2, "a"]]], [2, [[1, "a"], [1, "b"]]]),
        ):
            if not isinstance(saved, bytes):
                saved = json.dumps(saved).encode()
            with self.assertRaisesRegex(Refused, "^the saved ids ", msg=saved):
                ids.restore(saved)
        self.assertEqual(ids.take(1), "a")

    def test_wrong_arguments_are_named(self):
        for limit, largest in ((0, 9), (10, 9)):
            with self.assertRaisesRegex(ValueError, f"^Ids: limit is {limit}, not an integer from"):
                Ids(limit, largest)
        with self.assertRaisesRegex(TypeError, "^Ids: id is a bytes, not a str or an integer$"):
            Ids(1).insert(b"a")


if __name__ == "__main__":
    unittest.main()
