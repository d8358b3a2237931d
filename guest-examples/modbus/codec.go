// The codec modbus: the Modbus Application Protocol V1.1b3, over TCP or as RTU over TCP. The codec
// is the server, and the application has the coils and registers.
//
// A packet passes frames.go, functions.go and requests.go. An answer passes answers.go and
// frames.go.
package main

import (
	"errors"
	"slices"

	"wireplug"
	"wireplug/cut"
	"wireplug/options"
)

func init() { wireplug.Register(&codec{}) }

// The component has no main program: the runtime calls the codec.
func main() {}

// maxOpen is how many requests of one client wait for the application. The guide for Modbus over
// TCP lets a server take 1 to 16, and answer others with the exception "server device busy".
const maxOpen = 16

type codec struct{ framing framing }

func (*codec) Describe() wireplug.Description {
	return wireplug.Description{
		Name:     "modbus",
		Version:  "0.1.0",
		Messages: wireplug.MessagesContinuous,
		Payload:  wireplug.PayloadBinary,
		JSON:     true,
		// Cut limits the frames. A MaxPacket would also limit the application's bodies, and 2000
		// coils in JSON are longer than in a frame.
	}
}

func (c *codec) Configure(raw []byte) error {
	chosen := struct {
		Mode string `json:"mode"`
	}{"tcp"}
	if err := options.Read(raw, &chosen); err != nil {
		return err
	}
	switch chosen.Mode {
	case "tcp":
		c.framing = tcp{}
	case "rtu":
		c.framing = rtu{}
	default:
		return errors.New("`mode` is \"tcp\" or \"rtu\"")
	}
	return nil
}

func (c *codec) Open(*wireplug.Peer, wireplug.Instant) (*session, error) {
	return &session{framing: c.framing}, nil
}

type session struct {
	framing framing
	// open has the requests that wait for the application, the oldest first.
	open []request
	last uint64
	// isDamaged says that the last frame had a wrong CRC.
	isDamaged bool
	// scratch is the memory for a body or a PDU. To use it again leaves no garbage.
	scratch []byte
}

func (s *session) isRTU() bool { return s.framing == rtu{} }

func (s *session) Cut(rest []byte) (cut.Cut, error) { return s.framing.cut(rest) }

func (s *session) Decode(packet []byte, _ wireplug.Instant, events *wireplug.Events) error {
	from, isIntact := s.framing.read(packet)
	if !isIntact {
		return s.damaged()
	}
	s.isDamaged = false

	function := functions[from.pdu[0]]
	body, wrong := function.read(s.scratch[:0], from)
	s.scratch = body
	if s.isRTU() {
		switch {
		case from.unit == broadcast && (wrong != none || !function.isWrite):
			return wireplug.Reject("a broadcast is a write with allowed values")
		case from.unit == broadcast:
			events.Notice(function.route, body)
			return nil
		case len(s.open) > 0:
			return wireplug.Reject("a request came before the answer to the one before")
		}
	}
	if wrong == none && len(s.open) == maxOpen {
		wrong = busy
	}
	if wrong != none {
		s.scratch = wrong.appendTo(s.scratch[:0], from.pdu[0])
		answer := frame{from.transaction, from.unit, s.scratch}
		events.ReplyWith(func(to []byte) []byte { return s.framing.write(to, answer) })
		return nil
	}
	s.last++
	s.open = append(s.open, opened(s.last, from))
	events.Request(s.last, function.route, body)
	return nil
}

// damaged drops a frame with a wrong CRC. The frame behind it begins where the length in the
// damaged one says. If that one is damaged too, the length was wrong, and only a new connection
// helps.
func (s *session) damaged() error {
	if s.isDamaged {
		return wireplug.Fatal("the CRC of two frames in a row is wrong")
	}
	s.isDamaged = true
	return wireplug.Reject("the CRC is wrong")
}

func (s *session) Encode(message *wireplug.Message, _ wireplug.Instant, packets *wireplug.Packets) error {
	if message.Role == wireplug.Notice {
		// Modbus has no pushes.
		return nil
	}
	at := slices.IndexFunc(s.open, func(open request) bool { return open.id == message.ID })
	if at < 0 {
		return wireplug.Reject("no request with this id is open")
	}
	open := &s.open[at]
	pdu, err := open.answer(s.scratch[:0], message.Status, message.Body)
	s.scratch = pdu
	if err != nil {
		// The request stays open: the runtime asks again with status 500.
		return err
	}
	packets.End(s.framing.write(packets.Begin(), frame{open.transaction, open.unit, pdu}))
	s.open = slices.Delete(s.open, at, at+1)
	return nil
}
