// Package ids maps the ids of a protocol to those of the contract, and back.
//
// The contract's ids are numbers. A protocol's own ids may be texts, UUIDs or short serial numbers.
// An [Ids] keeps the ids of requests that wait for a response, in one direction:
//
//   - Requests of the client. Insert takes the client's id and returns an id for Events.Request. Take
//     returns the client's id for the response.
//   - Requests to the client. Insert takes the id of the message and returns the protocol's id. Take
//     returns the id for Events.Response. Remove is for Abandoned.
package ids

import (
	"errors"
	"strconv"
)

// ID is what an id may be.
type ID interface{ string | uint64 }

// Ids are the open ids of one direction. Each has a number, which no other open id has. Numbers count
// from 1, and begin again after the largest one.
type Ids[I ID] struct {
	// open has the open ids, the oldest first.
	open       []request[I]
	last       uint64
	limit      int
	largest    uint64
	dropOldest bool
}

type request[I ID] struct {
	number uint64
	id     I
}

// New returns a map without ids, which has at most limit open ids.
func New[I ID](limit int) *Ids[I] {
	const largest = 1<<32 - 1
	if limit < 1 || limit > largest {
		panic("the limit is 1 to 2^32 - 1")
	}
	return &Ids[I]{limit: limit, largest: largest}
}

// Largest sets the largest number. The default is 2^32 - 1.
func (m *Ids[I]) Largest(largest uint64) *Ids[I] {
	if uint64(m.limit) > largest {
		panic("the limit is at most the largest number")
	}
	m.largest = largest
	return m
}

// DropOldest lets the oldest id give way when the map is full. Otherwise Insert returns an error.
func (m *Ids[I]) DropOldest() *Ids[I] {
	m.dropOldest = true
	return m
}

// Len returns the number of open ids.
func (m *Ids[I]) Len() int { return len(m.open) }

// Insert opens an id and returns its number. It returns an error if the id is open already, or if the
// map is full.
func (m *Ids[I]) Insert(id I) (uint64, error) {
	if m.index(func(open request[I]) bool { return open.id == id }) >= 0 {
		return 0, errors.New("a request with this id is open already")
	}
	if len(m.open) >= m.limit {
		if !m.dropOldest {
			return 0, errors.New(strconv.Itoa(m.limit) + " requests are open, and no more are allowed")
		}
		m.close(0)
	}
	number := m.last
	for {
		number = number%m.largest + 1
		if m.numbered(number) < 0 {
			break
		}
	}
	m.open = append(m.open, request[I]{number, id})
	m.last = number
	return number, nil
}

// Take closes the id with this number and returns it. False: there is none.
func (m *Ids[I]) Take(number uint64) (id I, isOpen bool) {
	at := m.numbered(number)
	if at < 0 {
		return id, false
	}
	return m.close(at).id, true
}

// Remove closes an id and returns its number. False: it is not open.
func (m *Ids[I]) Remove(id I) (number uint64, isOpen bool) {
	at := m.index(func(open request[I]) bool { return open.id == id })
	if at < 0 {
		return 0, false
	}
	return m.close(at).number, true
}

func (m *Ids[I]) index(is func(request[I]) bool) int {
	for at, open := range m.open {
		if is(open) {
			return at
		}
	}
	return -1
}

func (m *Ids[I]) numbered(number uint64) int {
	return m.index(func(open request[I]) bool { return open.number == number })
}

func (m *Ids[I]) close(at int) request[I] {
	closed := m.open[at]
	m.open = append(m.open[:at], m.open[at+1:]...)
	return closed
}

// Save returns the open ids as bytes, for a handoff.
func (m *Ids[I]) Save() []byte {
	var saved writer
	saved.number(m.last)
	saved.number(uint64(len(m.open)))
	for _, open := range m.open {
		saved.number(open.number)
		switch id := any(open.id).(type) {
		case uint64:
			saved.number(id)
		case string:
			saved.text(id)
		}
	}
	return saved
}

// Restore replaces the open ids by those that were saved. It returns an error if the bytes are not
// saved ids, or do not fit the largest number and the limit. The map then stays as it was.
func (m *Ids[I]) Restore(saved []byte) error {
	from := reader{rest: saved}
	restored := *m
	restored.open = nil
	restored.last = from.number()
	count := from.number()
	fits := restored.last <= m.largest && count <= uint64(m.limit)
	for fits && !from.failed && uint64(len(restored.open)) < count {
		open := request[I]{number: from.number()}
		switch id := any(&open.id).(type) {
		case *uint64:
			*id = from.number()
		case *string:
			*id = from.text()
		}
		isNew := restored.index(func(other request[I]) bool {
			return other.number == open.number || other.id == open.id
		}) < 0
		fits = isNew && open.number > 0 && open.number <= m.largest
		restored.open = append(restored.open, open)
	}
	switch {
	case from.failed || fits && len(from.rest) > 0:
		return errors.New("the saved ids have another format")
	case !fits:
		return errors.New("the saved ids do not fit")
	}
	*m = restored
	return nil
}
