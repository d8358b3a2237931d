package cut

import (
	"strings"
	"testing"
)

// netstring cuts 5:hello, with the comma.
func netstring(rest []byte) (Cut, error) {
	head, err := Digits(rest, 0, ':', Max(1000))
	if err != nil || head.Need > 0 {
		return Need(head.Need), err
	}
	return Fixed(rest, head.End+head.Value+1, Max(1006, "netstring"))
}

func line(delimiter string, limit Limit) func([]byte) (Cut, error) {
	return func(rest []byte) (Cut, error) { return Line(rest, delimiter, limit) }
}

func field(field LengthField, limit Limit) func([]byte) (Cut, error) {
	return func(rest []byte) (Cut, error) { return field.Cut(rest, limit) }
}

func ber(limit Limit) func([]byte) (Cut, error) {
	return func(rest []byte) (Cut, error) { return BER(rest, limit) }
}

func escaped(limit Limit) func([]byte) (Cut, error) {
	return func(rest []byte) (Cut, error) { return Escaped(rest, ';', '\\', limit) }
}

func enclosed(limit Limit) func([]byte) (Cut, error) {
	return func(rest []byte) (Cut, error) { return Enclosed(rest, 0x7e, limit) }
}

var cases = []struct {
	name string
	cut  func([]byte) (Cut, error)
	rest string
	// answer is a cut, or the text of an error.
	answer string
}{
	{"digits", netstring, "", "Need(1)"},
	{"digits", netstring, "5", "Need(2)"},
	{"digits", netstring, "5:hel", "Need(8)"},
	{"digits", netstring, "5:hello,3:", "Packet(8)"},
	{"digits", netstring, "0:,", "Packet(3)"},
	{"digits", netstring, "01000:", "the length is not a decimal number from 0 to 1000"},
	{"digits", netstring, "1001", "the length is not a decimal number from 0 to 1000"},
	{"digits", netstring, ":", "the length is not a decimal number from 0 to 1000"},
	{"digits", netstring, "-1:", "the length is not a decimal number from 0 to 1000"},

	{"line", line("\n", Max(4)), "", "Need(1)"},
	{"line", line("\n", Max(4)), "abc", "Need(4)"},
	{"line", line("\n", Max(4)), "abc\n", "Packet(4)"},
	{"line", line("\n", Max(4, "header line")), "abcd", "the header line has more than 4 bytes"},
	{"line", line("\n", Max(4)), "abcd\n", "the packet has more than 4 bytes"},
	{"line", line("\r\n", Max(8)), "a", "Need(3)"},
	{"line", line("\r\n", Max(8)), "a\r", "Need(3)"},
	{"line", line("\r\n", Max(8)), "a\r\r\nb", "Packet(4)"},
	{"line", line("\r\n", Max(3)), "ab\r", "the packet has more than 3 bytes"},
	{"line", line("aab", Max(8)), "aa", "Need(3)"},
	{"line", line("aab", Max(8)), "aaa", "Need(4)"},
	{"line", line("", Max(8)), "a", "bug: a delimiter has at least one byte"},

	{"length", field(LengthField{Width: 2}, Max(16)), "\x00", "Need(2)"},
	{"length", field(LengthField{Width: 2}, Max(16)), "\x00\x03ab", "Need(5)"},
	{"length", field(LengthField{Width: 2}, Max(16)), "\x00\x03abcd", "Packet(5)"},
	{"length", field(LengthField{Width: 2, LittleEndian: true}, Max(16)), "\x03\x00abcd", "Packet(5)"},
	{"length", field(LengthField{Offset: 1, Width: 1, Adjust: -2}, Max(16)), "x\x02", "Packet(2)"},
	{"length", field(LengthField{Width: 1, Adjust: -2}, Max(16)), "\x01", "the length field is 1, and at least 2 is needed"},
	{"length", field(LengthField{Width: 4}, Max(16, "frame")), "\xff\xff\xff\xff", "the frame has more than 16 bytes"},
	{"length", field(LengthField{Width: 5}, Max(16)), "", "bug: a length field has 1 to 4 bytes"},

	{"ber", ber(Max(300)), "", "Need(2)"},
	{"ber", ber(Max(300)), "\x30", "Need(2)"},
	{"ber", ber(Max(300)), "\x30\x02a", "Need(4)"},
	{"ber", ber(Max(300)), "\x30\x02ab", "Packet(4)"},
	{"ber", ber(Max(300)), "\x30\x81", "Need(3)"},
	{"ber", ber(Max(300)), "\x30\x82\x01\x00", "Need(260)"},
	{"ber", ber(Max(300)), "\x1f\x81\x01\x00", "Packet(4)"},
	{"ber", ber(Max(300)), "\x1f\x81\x82\x83\x84", "the tag has more than 5 bytes"},
	{"ber", ber(Max(300)), "\x30\x80", "the length is indefinite"},
	{"ber", ber(Max(300)), "\x30\x85", "the length has more than 4 bytes"},
	{"ber", ber(Max(300)), "\x30\x82\x01\x2d", "the packet has more than 300 bytes"},

	{"escaped", escaped(Max(8)), "", "Need(1)"},
	{"escaped", escaped(Max(8)), "a;b", "Packet(2)"},
	{"escaped", escaped(Max(8)), "a\\", "Need(4)"},
	{"escaped", escaped(Max(8)), "a\\;", "Need(4)"},
	{"escaped", escaped(Max(8)), "a\\;;", "Packet(4)"},
	{"escaped", escaped(Max(3)), "a\\;", "the packet has more than 3 bytes"},
	{"escaped", escaped(Max(3)), "a\\;;", "the packet has more than 3 bytes"},

	{"enclosed", enclosed(Max(8)), "", "Need(1)"},
	{"enclosed", enclosed(Max(8)), "~", "Need(3)"},
	{"enclosed", enclosed(Max(8)), "~~", "Need(4)"},
	{"enclosed", enclosed(Max(8)), "~~a", "Need(4)"},
	{"enclosed", enclosed(Max(8)), "~~a~~", "Packet(4)"},
	{"enclosed", enclosed(Max(8)), "a", "the packet begins with 0x61, and not with 0x7e"},
	{"enclosed", enclosed(Max(3)), "~ab", "the packet has more than 3 bytes"},
}

func answer(cut Cut, err error) string {
	if err != nil {
		return err.Error()
	}
	return cut.String()
}

func TestCuts(t *testing.T) {
	for _, c := range cases {
		if got := answer(c.cut([]byte(c.rest))); got != c.answer {
			t.Errorf("%s of %q: %s, not %s", c.name, c.rest, got, c.answer)
		}
	}
}

// A stream has the same packets and the same error, however it is divided into reads: a need never
// passes over a length at which the answer is another one.
func TestNeedsPassOverNothing(t *testing.T) {
	for _, c := range cases {
		for _, behind := range []string{"", "~", ";", "\n", "\r\n", "\x00\x00\x00\x00", "aaaaaaaaa"} {
			rest := []byte(c.rest + strings.Repeat(behind, 3))
			need := 0
			for length := range len(rest) + 1 {
				cut, err := c.cut(rest[:length])
				kind, total := cut.Parts()
				if length < need && (err != nil || kind != IsNeed) {
					t.Errorf("%s of %q: %s at %d, before the need of %d", c.name, rest, answer(cut, err), length, need)
				}
				if err != nil || kind != IsNeed {
					break
				}
				if total <= length {
					t.Errorf("%s of %q: a need of %d at %d", c.name, rest, total, length)
				}
				need = max(need, total)
			}
		}
	}
}
