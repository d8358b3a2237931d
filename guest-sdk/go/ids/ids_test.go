package ids

import (
	"reflect"
	"testing"
)

func insert[I ID](t *testing.T, m *Ids[I], id I) uint64 {
	t.Helper()
	number, err := m.Insert(id)
	if err != nil {
		t.Fatal(err)
	}
	return number
}

func refuses[I ID](t *testing.T, m *Ids[I], id I, reason string) {
	t.Helper()
	if _, err := m.Insert(id); err == nil || err.Error() != reason {
		t.Errorf("%v", err)
	}
}

func TestIdsComeBackOnce(t *testing.T) {
	m := New[string](2)
	if first, second := insert(t, m, "a"), insert(t, m, "b"); first != 1 || second != 2 {
		t.Error(first, second)
	}
	refuses(t, m, "a", "a request with this id is open already")
	refuses(t, m, "c", "2 requests are open, and no more are allowed")
	if id, isOpen := m.Take(1); id != "a" || !isOpen {
		t.Error(id, isOpen)
	}
	if _, isOpen := m.Take(1); isOpen {
		t.Error("it is open")
	}
	if number, isOpen := m.Remove("b"); number != 2 || !isOpen || m.Len() != 0 {
		t.Error(number, isOpen)
	}
	if _, isOpen := m.Remove("b"); isOpen {
		t.Error("it is open")
	}
}

func TestNumbersBeginAgain(t *testing.T) {
	m := New[uint64](2).Largest(3)
	insert(t, m, 10)
	for id := uint64(11); id < 20; id++ {
		number := insert(t, m, id)
		if number == 1 || number > 3 {
			t.Error(number)
		}
		m.Take(number)
	}
}

func TestTheOldestGivesWay(t *testing.T) {
	m := New[uint64](2).Largest(2).DropOldest()
	insert(t, m, 10)
	insert(t, m, 11)
	if number := insert(t, m, 12); number != 1 {
		t.Error(number)
	}
	if id, _ := m.Take(1); id != 12 {
		t.Error(id)
	}
}

func TestSavedIds(t *testing.T) {
	texts := New[string](3)
	insert(t, texts, "first")
	insert(t, texts, "")
	texts.Take(1)
	restored := New[string](3)
	if err := restored.Restore(texts.Save()); err != nil || !reflect.DeepEqual(restored, texts) {
		t.Error(err, restored)
	}
	numbers := New[uint64](3).Largest(1 << 63)
	insert(t, numbers, 1<<63)
	again := New[uint64](3).Largest(1 << 63)
	if err := again.Restore(numbers.Save()); err != nil || !reflect.DeepEqual(again, numbers) {
		t.Error(err, again)
	}
}

func TestWhatIsNotSavedIds(t *testing.T) {
	m := New[string](3)
	insert(t, m, "first")
	insert(t, m, "second")
	saved := m.Save()
	for length := range saved {
		if New[string](3).Restore(saved[:length]) == nil {
			t.Error(length)
		}
	}
	for _, wrong := range [][]byte{append(saved, 0), {0, 1, 0, 0}, {0, 2, 1, 0, 1, 0}, {0, 2, 1, 0, 2, 0}, {255}} {
		restored := New[string](3)
		if restored.Restore(wrong) == nil || restored.Len() != 0 {
			t.Error(wrong)
		}
	}
	if New[string](1).Restore(saved) == nil || New[string](1).Largest(1).Restore(saved) == nil {
		t.Error("they do not fit")
	}
}
