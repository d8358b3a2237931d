// A small protocol whose stream the codec cuts itself. The README of the folder above describes it.
// The two framings are in frames.go.
package main

import (
	"errors"
	"strconv"

	"wireplug"
	"wireplug/cut"
)

func init() { wireplug.Register(codec{}) }

func main() {}

// Sessions with binary frames keep them. The framing of others may still change.
const binaryClass = 1

// The saved state of a session: the number of this format, whether the frames are binary, and whether
// a frame has come.
const (
	format    = 1
	stateSize = 3
)

type codec struct{}

func (codec) Describe() wireplug.Description {
	return wireplug.Description{
		Name:           "digits",
		Version:        "0.1.0",
		Messages:       wireplug.MessagesContinuous,
		Payload:        wireplug.PayloadBinary,
		ClientRequests: 1000,
		MaxPacket:      maxFrame,
	}
}

func (codec) Configure(options []byte) error { return wireplug.NoOptions(options) }

func (codec) Open(*wireplug.Peer, wireplug.Instant) (*session, error) {
	return &session{framing: text{}}, nil
}

type session struct {
	framing framing
	// A frame has come from the client.
	hasFrame bool
}

func (s *session) isBinary() bool { return s.framing == binaryFrames{} }

// Tick is called once: the session sets no timer.
func (s *session) Tick(_ wireplug.Instant, events *wireplug.Events) {
	events.Reply([]byte("+OK digits\r\n"))
}

// === From the client ===

func (s *session) Cut(rest []byte) (cut.Cut, error) { return s.framing.cut(rest) }

func (s *session) Decode(packet []byte, _ wireplug.Instant, events *wireplug.Events) error {
	frame, err := s.framing.read(packet)
	if err != nil {
		return err
	}
	if err := s.decodeFrame(frame, events); err != nil {
		return err
	}
	s.hasFrame = true
	if frame.kind == "BIN" {
		s.framing = binaryFrames{}
	}
	return nil
}

func (s *session) decodeFrame(frame frame, events *wireplug.Events) error {
	switch frame.kind {
	case "REQ", "NTC":
		return decodeMessage(frame, events)
	case "RES":
		status, isNumber := number(frame.argument, 599)
		if !isNumber || status < 100 {
			return wireplug.Fatal("the status is not a decimal number from 100 to 599")
		}
		events.Response(uint64(frame.id), uint16(status), frame.body)
		return nil
	case "STLS":
		events.Reply([]byte("-ERR no TLS\r\n"))
		return nil
	}
	if frame.id != 0 || len(frame.argument) > 0 || len(frame.body) > 0 {
		return wireplug.Fatal(frame.kind + " has an id, an argument or a body")
	}
	if frame.kind == "BIN" && !s.hasFrame {
		return wireplug.Fatal("BIN is the first frame")
	}
	s.reply(frame, events)
	if frame.kind == "BYE" {
		events.CloseWith(1000, "bye")
	}
	return nil
}

func decodeMessage(frame frame, events *wireplug.Events) error {
	switch {
	case len(frame.argument) == 0:
		return wireplug.Fatal(frame.kind + " has no route")
	case frame.kind == "REQ":
		events.Request(uint64(frame.id), string(frame.argument), frame.body)
	case frame.id != 0:
		return wireplug.Fatal("NTC has an id")
	default:
		events.Notice(string(frame.argument), frame.body)
	}
	return nil
}

func (s *session) reply(frame frame, events *wireplug.Events) {
	events.ReplyWith(func(to []byte) []byte { return s.framing.write(to, frame) })
}

// === To the client ===

func (s *session) Encode(message *wireplug.Message, _ wireplug.Instant, packets *wireplug.Packets) error {
	return encode(s.framing, message, packets)
}

func (s *session) BroadcastClass() (uint32, bool) { return binaryClass, s.isBinary() }

func (codec) EncodeShared(_ uint32, message *wireplug.Message, packets *wireplug.Packets) error {
	return encode(binaryFrames{}, message, packets)
}

func (s *session) Abandoned(id uint64, _ wireplug.Instant, events *wireplug.Events) {
	s.reply(frame{kind: "CAN", id: uint32(id)}, events)
}

func encode(framing framing, message *wireplug.Message, packets *wireplug.Packets) error {
	if len(message.Body) > maxBody {
		return wireplug.Reject("the body has more than 65535 bytes")
	}
	if message.ID > maxID {
		return wireplug.Reject("the id is above 4294967295")
	}
	frame := frame{id: uint32(message.ID), argument: []byte(message.Route), body: message.Body}
	switch message.Role {
	case wireplug.Notice:
		frame.kind = "PSH"
	case wireplug.Request:
		frame.kind = "REQ"
	case wireplug.Response:
		frame.kind = "RES"
		frame.argument = strconv.AppendUint(nil, uint64(message.Status), 10)
	}
	if !isArgument(frame.argument) {
		return wireplug.Reject("the route is not 1 to 200 printable ASCII characters without spaces")
	}
	packets.End(framing.write(packets.Begin(), frame))
	return nil
}

// === Handoff ===

func (s *session) Save() ([]byte, error) {
	return []byte{format, asByte(s.isBinary()), asByte(s.hasFrame)}, nil
}

func (codec) Restore(_ *wireplug.Peer, state []byte, _ wireplug.Instant) (*session, error) {
	if len(state) != stateSize || state[0] != format {
		return nil, errors.New("the saved state is not of format " + strconv.Itoa(format))
	}
	restored := &session{framing: text{}, hasFrame: state[2] != 0}
	if state[1] != 0 {
		restored.framing = binaryFrames{}
	}
	return restored, nil
}

func asByte(is bool) byte {
	if is {
		return 1
	}
	return 0
}
