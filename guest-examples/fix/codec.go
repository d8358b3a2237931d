// A codec for FIX 4.4, the server's end: sessions with sequence numbers, and messages of orders.
package main

import (
	"errors"
	"strconv"

	"wireplug"
	"wireplug/cut"
)

func init() { wireplug.Register(&codec{}) }

func main() {}

type codec struct {
	verifiesChecksums bool
}

func (*codec) Describe() wireplug.Description {
	return wireplug.Description{
		Name:      "fix",
		Version:   "0.1.0",
		Messages:  wireplug.MessagesNone,
		Payload:   wireplug.PayloadBinary,
		JSON:      true,
		Handshake: true,
		MaxPacket: maxMessage,
	}
}

func (c *codec) Configure(text []byte) error {
	verifies, err := readOptions(text)
	c.verifiesChecksums = verifies
	return err
}

func (c *codec) Open(peer *wireplug.Peer, _ wireplug.Instant) (*session, error) {
	if peer.MaxPacket < minMaxMessage {
		return nil, errors.New("limits.max-packet is below " + strconv.Itoa(minMaxMessage) + " bytes")
	}
	return &session{codec: c, largest: peer.MaxPacket, in: 1, out: 1}, nil
}

// phase is how far a session is.
type phase uint8

const (
	// awaitsLogon: the client has said nothing.
	awaitsLogon phase = iota
	// awaitsAnswer: the application decides on the Logon.
	awaitsAnswer
	// loggedOn: messages flow.
	loggedOn
	// ended: nothing is sent any more.
	ended
)

// session is one client from its Logon to its Logout.
type session struct {
	codec *codec
	// largest is the size of the largest message, in bytes.
	largest int
	phase   phase
	// client and server are the CompIDs of both sides.
	client, server string
	// heartbeat is HeartBtInt in seconds. 0: no heartbeats.
	heartbeat uint64
	// in is the number that the next message of the client must have, and out is the next own number.
	in, out uint64
	// epoch counts how often the numbers began again.
	epoch uint32
	gap   gap
	// lastIn and lastOut are when the last messages came and went, in milliseconds of the session.
	lastIn, lastOut uint64
	// isTesting says that a TestRequest is not answered.
	isTesting bool
	sent      store
	resent    resent

	// fields is memory for the fields of one message.
	fields []field
}

// gap is what the client was asked to send again: all numbers from session.in to the last one.
type gap struct {
	// last is the largest number that came too early. 0: there is no gap.
	last uint64
	// deadline is when the session ends if the gap is still open, in milliseconds of the session.
	deadline uint64
}

// === From the client ===

func (s *session) Cut(rest []byte) (cut.Cut, error) {
	if s.phase == awaitsLogon && !begins(rest) {
		return cut.Cut{}, wireplug.Fatal("the client does not begin with a message of FIX.4.4")
	}
	return cutMessage(rest, s.largest)
}

func (s *session) Decode(packet []byte, now wireplug.Instant, events *wireplug.Events) error {
	body, err := openFrame(packet, s.codec.verifiesChecksums)
	if err != nil {
		if s.phase == awaitsLogon {
			return wireplug.Fatal(err.Error())
		}
		return err
	}
	message, wrong := read(body, s.fields[:0])
	s.fields = message.fields
	s.lastIn, s.isTesting = now.SessionMs, false
	if s.phase == awaitsLogon {
		return s.decodeLogon(&message, wrong, now, events)
	}
	s.decodeMessage(&message, wrong, now, events)
	return nil
}

// === To the client ===

func (s *session) Encode(message *wireplug.Message, now wireplug.Instant, packets *wireplug.Packets) error {
	if s.phase != loggedOn {
		return wireplug.Reject("the session has ended")
	}
	if message.Role == wireplug.Response && len(message.Body) == 0 {
		if message.Status != 200 {
			packets.End(s.send(packets.Begin(), businessReject, refusal(message), now))
		}
		return nil
	}
	kind, fields, err := s.readMessage(message.Body)
	if err == nil {
		packets.End(s.send(packets.Begin(), kind, fields, now))
	}
	return err
}
