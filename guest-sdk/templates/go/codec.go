// The codec {{name}}: one message in each line.
//
// A request is "ID ROUTE BODY", and its response is "ID STATUS BODY". A notification from the client
// and a push are "- ROUTE BODY".
package main

import (
	"bytes"
	"errors"
	"strconv"
	"unicode/utf8"

	"wireplug"
)

func init() { wireplug.Register(codec{}) }

// The component has no main program: the runtime calls the codec.
func main() {}

type codec struct{}

func (codec) Describe() wireplug.Description {
	return wireplug.Description{
		Name:     "{{name}}",
		Version:  "0.1.0",
		Framing:  wireplug.Delimiter("\n"),
		Messages: wireplug.MessagesOne,
		Payload:  wireplug.PayloadText,
		JSON:     true,
	}
}

func (codec) Configure(options []byte) error { return wireplug.NoOptions(options) }

func (codec) Open(*wireplug.Peer, wireplug.Instant) (*session, error) { return &session{}, nil }

// session is the state of one connection: nothing so far. Its fields stay from packet to packet.
type session struct{}

var errLine = wireplug.Reject("a line is `ID ROUTE BODY`")

func (*session) Decode(packet []byte, _ wireplug.Instant, events *wireplug.Events) error {
	line := bytes.TrimSuffix(packet, []byte("\r"))
	idText, rest, _ := bytes.Cut(line, []byte(" "))
	route, body, _ := bytes.Cut(rest, []byte(" "))
	if len(route) == 0 || !utf8.Valid(packet) {
		return errLine
	}
	if string(idText) == "-" {
		events.Notice(string(route), body)
		return nil
	}
	id, err := strconv.ParseUint(string(idText), 10, 64)
	if err != nil {
		return errLine
	}
	events.Request(id, string(route), body)
	return nil
}

func (*session) Encode(message *wireplug.Message, _ wireplug.Instant, packets *wireplug.Packets) error {
	packet := packets.Begin()
	if message.Role == wireplug.Response {
		packet = strconv.AppendUint(packet, message.ID, 10)
		packet = append(packet, ' ')
		packet = strconv.AppendUint(packet, uint64(message.Status), 10)
	} else {
		packet = append(packet, "- "...)
		packet = append(packet, message.Route...)
	}
	packet = append(packet, ' ')
	// In JSON a line break is only white space, and in a packet it would end the line.
	packet = append(packet, bytes.ReplaceAll(message.Body, []byte("\n"), []byte(" "))...)
	packets.End(packet)
	return nil
}

// Save and Restore move live sessions: to another version, or to a new sandbox before the memory is
// used up.
func (*session) Save() ([]byte, error) { return nil, nil }

func (codec) Restore(_ *wireplug.Peer, state []byte, _ wireplug.Instant) (*session, error) {
	if len(state) > 0 {
		return nil, errors.New("the state is not of this version")
	}
	return &session{}, nil
}
