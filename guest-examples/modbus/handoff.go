// The saved state of a session.

package main

import (
	"encoding/binary"
	"errors"

	"wireplug"
)

// The state is a format number, the number of the framing, whether the last frame was damaged, the
// last id, and the open requests.
const (
	format    = 1
	stateSize = 3 + 8
	openSize  = 8 + 2 + 1 + maxHead
)

func (s *session) Save() ([]byte, error) {
	state := []byte{format, s.framing.number(), 0}
	if s.isDamaged {
		state[2] = 1
	}
	state = binary.BigEndian.AppendUint64(state, s.last)
	for _, open := range s.open {
		state = binary.BigEndian.AppendUint64(state, open.id)
		state = binary.BigEndian.AppendUint16(state, open.transaction)
		state = append(append(state, open.unit), open.head[:]...)
	}
	return state, nil
}

func (c *codec) Restore(_ *wireplug.Peer, state []byte, _ wireplug.Instant) (*session, error) {
	if len(state) < stateSize || state[0] != format || state[2] > 1 {
		return nil, errors.New("the state is not of this version")
	}
	if state[1] != c.framing.number() {
		return nil, errors.New("the session has the other `mode`")
	}
	restored := &session{framing: c.framing, isDamaged: state[2] == 1, last: binary.BigEndian.Uint64(state[3:])}
	rest := state[stateSize:]
	if len(rest)%openSize != 0 || len(rest) > maxOpen*openSize {
		return nil, errors.New("the open requests are not of this version")
	}
	for ; len(rest) > 0; rest = rest[openSize:] {
		open := request{
			id:          binary.BigEndian.Uint64(rest),
			transaction: binary.BigEndian.Uint16(rest[8:]),
			unit:        rest[10],
			head:        [maxHead]byte(rest[11:openSize]),
		}
		if functions[open.head[0]].route == "" {
			return nil, errors.New("an open request has an unknown function")
		}
		restored.open = append(restored.open, open)
	}
	return restored, nil
}
