package wireplug

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"wireplug/cut"
)

// lines is a session in which a packet says what it does.
type lines struct{ tls bool }

func (l *lines) Decode(packet []byte, _ Instant, events *Events) error {
	word := strings.TrimSpace(string(packet))
	switch word {
	case "reject":
		events.Notice("dropped", nil)
		return Reject("not this")
	case "error":
		return errors.New("an error \xff")
	case "fatal":
		events.Close("dropped")
		return fmt.Errorf("wrapped: %w", Fatal("no more"))
	case "hello":
		events.Hello([]byte("me"))
	case "bye":
		events.Reply([]byte("bye"))
		events.CloseWith(3000, "said so")
	case "tls":
		l.tls = true
		events.ReplyWith(func(to []byte) []byte { return append(to, "+OK"...) })
	default:
		events.Request(7, "say", packet)
	}
	return nil
}

func (l *lines) Encode(message *Message, _ Instant, packets *Packets) error {
	for _, word := range strings.Fields(string(message.Body)) {
		packet := packets.Begin()
		packets.End(append(packet, word...))
	}
	if message.Status == 500 {
		return Reject("no")
	}
	return nil
}

func (l *lines) Cut(rest []byte) (cut.Cut, error) {
	switch {
	case l.tls:
		return cut.StartTLS, nil
	case strings.HasPrefix(string(rest), "bug"):
		return cut.Packet(len(rest) + 1), nil
	}
	return cut.Line(rest, "\n", cut.Max(64, "line"))
}

// shown returns events as text: the packet, the kind and the body of each.
func shown(events *Events) string {
	var words []string
	for _, event := range events.List() {
		words = append(words, fmt.Sprintf("%d %s %q", event.Packet, event.Kind, event.Body))
	}
	return strings.Join(words, ", ")
}

func TestBatches(t *testing.T) {
	for _, c := range []struct {
		packets []string
		events  string
	}{
		{[]string{"a", "b"}, `0 message "a", 1 message "b"`},
		{[]string{"reject", "error", "a"}, `0 rejected "not this", 1 rejected "an error �", 2 message "a"`},
		{[]string{"a", "fatal", "b"}, `0 message "a", 1 fatal "wrapped: no more"`},
		{[]string{"hello", "b"}, `0 hello "me"`},
		{[]string{"bye", "b"}, `0 reply "bye", 0 close "said so"`},
		{nil, ""},
	} {
		var events Events
		var ends []uint32
		bytes := strings.Join(c.packets, "")
		for i := range c.packets {
			ends = append(ends, uint32(len(strings.Join(c.packets[:i+1], ""))))
		}
		events.decodeBatch(&lines{}, []byte(bytes), ends, Instant{})
		if got := shown(&events); got != c.events {
			t.Errorf("%q: %s, not %s", c.packets, got, c.events)
		}
	}
}

// stream returns the ends, the next and the need, and the events of a stream.
func stream(session *lines, bytes string) (ends []uint32, next [2]uint32, events string) {
	var frames frames
	frames.reset()
	frames.decodeStream(session, session, []byte(bytes), Instant{})
	return frames.ends, [2]uint32{uint32(frames.next), frames.need}, shown(&frames.events)
}

func TestStreams(t *testing.T) {
	need := func(length uint32) [2]uint32 { return [2]uint32{uint32(nextNeed), length} }
	full, startTLS := [2]uint32{uint32(nextFull)}, [2]uint32{uint32(nextStartTLS)}
	for _, c := range []struct {
		bytes  string
		ends   []uint32
		next   [2]uint32
		events string
	}{
		{"", nil, need(1), ""},
		{"a\nb", []uint32{2}, need(2), `0 message "a\n"`},
		{"a\nhello\nb\n", []uint32{2, 8}, full, `0 message "a\n", 1 hello "me"`},
		{"tls\nb\n", []uint32{4}, startTLS, `0 reply "+OK"`},
		{"a\nbug", []uint32{2}, full, `0 message "a\n", 1 fatal "bug: Cut returned Packet(4) for 3 bytes"`},
		{strings.Repeat("a", 64), nil, full, `0 fatal "the line has more than 64 bytes"`},
	} {
		ends, next, events := stream(&lines{}, c.bytes)
		if !slices.Equal(ends, c.ends) || next != c.next || events != c.events {
			t.Errorf("%q: %d, %d, %s", c.bytes, ends, next, events)
		}
	}
}

// A call has at most 256 packets, but TLS may begin behind the last of them.
func TestTheLargestCall(t *testing.T) {
	for _, c := range []struct {
		bytes string
		next  next
	}{
		{strings.Repeat("a\n", 256), nextFull},
		{strings.Repeat("a\n", 257), nextFull},
		{strings.Repeat("a\n", 256) + strings.Repeat("b", 64), nextFull},
		{strings.Repeat("a\n", 255) + "tls\nrest", nextStartTLS},
	} {
		ends, next, _ := stream(&lines{}, c.bytes)
		if len(ends) != 256 || next[0] != uint32(c.next) {
			t.Errorf("%d packets, %d", len(ends), next)
		}
	}
}

func TestPackets(t *testing.T) {
	var packets Packets
	packets.Add([]byte("first"))
	message := Message{Role: Notice, Body: []byte("a bb"), Status: 200}
	if err := packets.encode(&lines{}, &message, Instant{}); err != nil {
		t.Error(err)
	}
	if got := packets.List(); !reflect.DeepEqual(got, []string{"first", "a", "bb"}) {
		t.Error(got)
	}
	// The packets of a message that is refused are dropped.
	message.Status = 500
	if err := packets.encode(&lines{}, &message, Instant{}); err == nil || isFatal(err) {
		t.Error(err)
	}
	// A packet that is not ended is dropped.
	_ = append(packets.Begin(), "lost"...)
	packets.End(append(packets.Begin(), make([]byte, 10_000)...))
	if got := packets.List(); len(got) != 4 || got[0] != "first" || len(got[3]) != 10_000 {
		t.Error(len(got))
	}
}

func TestNoOptions(t *testing.T) {
	for _, c := range []struct{ options, reason string }{
		{`{}`, ""},
		{` { } `, ""},
		{`{"routes":["a.b",{"}":"]"},-1.5e3,null],"routes": {"a":[]}}`, ""},
		{`{"routes":[],"limit":1}`, "unknown option `limit`; this codec has none"},
		{`{"a\"b":1}`, "unknown option `a\\\"b`; this codec has none"},
		{`[]`, "the options must be a JSON object"},
		{``, "the options must be a JSON object"},
		{`{"routes"`, "the options must be a JSON object"},
		{`{"routes":`, "the options must be a JSON object"},
	} {
		err := NoOptions([]byte(c.options))
		if (err == nil) != (c.reason == "") || err != nil && err.Error() != c.reason {
			t.Errorf("%s: %v", c.options, err)
		}
	}
}
