// The state of a session in a handoff.

package main

import (
	"encoding/binary"
	"errors"

	"wireplug"
)

// format is the number of this format: numbers as varints, and texts behind their lengths.
const format = 1

func (s *session) Save() ([]byte, error) {
	isTesting := uint64(0)
	if s.isTesting {
		isTesting = 1
	}
	state := appendNumbers(nil, format, uint64(s.phase), s.heartbeat, s.in, s.out, uint64(s.epoch))
	state = appendNumbers(state, s.gap.last, s.gap.deadline, s.lastIn, s.lastOut, isTesting)
	state = appendNumbers(state, s.resent.second, uint64(s.resent.bytes))
	state = appendText(appendText(state, s.client), s.server)
	state = appendNumbers(state, uint64(len(s.sent.messages)))
	for _, message := range s.sent.messages {
		state = appendNumbers(state, message.number, message.time)
		state = appendText(appendText(state, message.kind), string(message.fields))
	}
	return state, nil
}

func appendNumbers(to []byte, numbers ...uint64) []byte {
	for _, number := range numbers {
		to = binary.AppendUvarint(to, number)
	}
	return to
}

func appendText(to []byte, text string) []byte {
	return append(binary.AppendUvarint(to, uint64(len(text))), text...)
}

func (c *codec) Restore(peer *wireplug.Peer, state []byte, now wireplug.Instant) (*session, error) {
	s, err := c.Open(peer, now)
	if err != nil {
		return nil, err
	}
	r := stateReader{rest: state}
	if r.number() != format {
		return nil, errors.New("the saved state is not of format 1")
	}
	s.phase, s.heartbeat, s.in, s.out, s.epoch = phase(r.number()), r.number(), r.number(), r.number(), uint32(r.number())
	s.gap = gap{r.number(), r.number()}
	s.lastIn, s.lastOut, s.isTesting = r.number(), r.number(), r.number() != 0
	s.resent = resent{r.number(), int(r.number())}
	s.client, s.server = r.text(), r.text()
	for range r.number() {
		message := sentMessage{number: r.number(), time: r.number(), kind: r.text(), fields: []byte(r.text())}
		if r.isShort {
			break
		}
		s.sent.add(message)
	}
	if r.isShort || len(r.rest) > 0 || s.phase > ended || s.heartbeat > maxHeartbeat {
		return nil, errors.New("the saved state is damaged")
	}
	return s, nil
}

// stateReader reads what Save has written.
type stateReader struct {
	rest []byte
	// isShort says that the state ended too early.
	isShort bool
}

func (r *stateReader) number() uint64 {
	number, size := binary.Uvarint(r.rest)
	if size <= 0 {
		r.isShort = true
		return 0
	}
	r.rest = r.rest[size:]
	return number
}

func (r *stateReader) text() string {
	size := r.number()
	if size > uint64(len(r.rest)) {
		r.isShort = true
		return ""
	}
	text := string(r.rest[:size])
	r.rest = r.rest[size:]
	return text
}
