// Tests of what test vectors would need many bytes for: the limits, and the options.

package main

import (
	"strconv"
	"strings"
	"testing"

	"wireplug"
	"wireplug/cut"
)

var now = wireplug.Instant{UnixMs: 946_684_800_000}

// client returns a session that is logged on.
func client() *session {
	return &session{
		codec: &codec{verifiesChecksums: true}, largest: maxMessage, phase: loggedOn, client: "CLIENT", server: "BROKER",
		in: 2, out: 2,
	}
}

// push sends a message of the application with a text of this size.
func push(s *session, size int) error {
	body := `[[35,"B"],[58,"` + strings.Repeat("x", size) + `"]]`
	return s.Encode(&wireplug.Message{Body: []byte(body), Status: 200}, now, &wireplug.Packets{})
}

// from returns a message of the client.
func from(s *session, kind, fields string) []byte {
	body := "35=" + kind + "|49=CLIENT|56=BROKER|34=" + strconv.FormatUint(s.in, 10) + "|52=20000101-00:00:00|" + fields
	return closeFrame(nil, []byte(strings.ReplaceAll(body, "|", "\x01")))
}

func TestTheStoreKeepsTheNewestMessages(t *testing.T) {
	s := client()
	for range maxStored + 5 {
		if err := push(s, 1); err != nil {
			t.Fatal(err)
		}
	}
	if first := s.sent.messages[0].number; len(s.sent.messages) != maxStored || first != 7 {
		t.Error(len(s.sent.messages), first)
	}
	for range 5 {
		if err := push(s, 60_000); err != nil {
			t.Fatal(err)
		}
	}
	if len(s.sent.messages) != 4 || s.sent.bytes > maxStoredBytes {
		t.Error(len(s.sent.messages), s.sent.bytes)
	}
}

func TestAClientThatAsksForTooMuchIsLoggedOut(t *testing.T) {
	s := client()
	for range 4 {
		if err := push(s, 60_000); err != nil {
			t.Fatal(err)
		}
	}
	for _, last := range []string{"reply", "reply", "close"} {
		var events wireplug.Events
		if err := s.Decode(from(s, resendRequest, "7=2|16=0|"), now, &events); err != nil {
			t.Fatal(err)
		}
		list := events.List()
		if kind := list[len(list)-1].Kind; kind != last {
			t.Error(kind, last)
		}
	}
}

func TestTheLargestMessage(t *testing.T) {
	s := client()
	if err := push(s, maxMessage-maxHeader-64); err != nil {
		t.Error(err)
	}
	number := s.out
	if err := push(s, maxMessage-maxHeader); err == nil || s.out != number {
		t.Error(err)
	}
	if got, err := s.Cut([]byte(strings.Repeat("x", maxMessage-1))); err != nil || got != cut.Need(maxMessage) {
		t.Error(got, err)
	}
	if _, err := s.Cut([]byte(strings.Repeat("x", maxMessage) + beginning)); err == nil {
		t.Error("noise without an end")
	}
}

func TestOptions(t *testing.T) {
	for _, c := range []struct {
		options  string
		verifies bool
		reason   string
	}{
		{`{}`, true, ""},
		{` { "checksum" : false , "routes" : [ "fix.D", "a\"]" ] } `, false, ""},
		{`{"routes":[],"checksum":true}`, true, ""},
		{`{"checksum":0}`, false, "`checksum` is not true or false"},
		{`{"routes":{}}`, true, "`routes` is not a list of texts"},
		{`{"chekcsum":false}`, true, "unknown option `chekcsum`; there is `checksum`"},
		{`[]`, true, "the options must be a JSON object"},
	} {
		verifies, err := readOptions([]byte(c.options))
		if verifies != c.verifies || err == nil && c.reason != "" || err != nil && err.Error() != c.reason {
			t.Errorf("%s: %v, %v", c.options, verifies, err)
		}
	}
}
