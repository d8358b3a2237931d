// Package cut cuts the usual kinds of packets from a stream, for [wireplug.Framer].
//
// Each function looks at the front of the rest of the stream, and finds where the first packet ends.
// A [Limit] is the largest packet in bytes, its framing included. A function returns an error as soon
// as the bytes can no longer become a packet within the limit. It asks for as many bytes as the
// packet is known to need. The answers do not depend on how the stream was divided into reads.
//
// This cuts netstrings, such as 5:hello, with the comma:
//
//	head, err := cut.Digits(rest, 0, ':', cut.Max(1000))
//	if err != nil || head.Need > 0 {
//		return cut.Need(head.Need), err
//	}
//	return cut.Fixed(rest, head.End+head.Value+1, cut.Max(1006, "netstring"))
package cut

// A need must never pass over a length of the rest at which the function would return an error.
// Otherwise the division of the stream would decide whether there is an error.

import (
	"bytes"
	"errors"
	"strconv"
)

// Cut is what stands at the front of the rest of a stream: [Packet], [Need] or [StartTLS].
type Cut struct {
	kind   Kind
	length int
}

// Kind is the kind of a [Cut].
type Kind uint8

// The kinds. The zero Cut is none of them.
const (
	IsPacket Kind = iota + 1
	IsNeed
	IsStartTLS
)

// Packet returns a packet of this many bytes, framing included: at least 1, and no more than there
// are.
func Packet(length int) Cut { return Cut{IsPacket, length} }

// Need returns that the packet is not complete. The rest is cut again when it has at least this many
// bytes, more than it has now. A packet that needs more bytes than the listener allows ends the
// connection.
func Need(length int) Cut { return Cut{IsNeed, length} }

// StartTLS says that the rest and everything behind it is TLS. Only after a packet, on a connection
// with the attribute starttls, if the world exports tls-upgrade.
var StartTLS = Cut{IsStartTLS, 0}

// Parts returns the kind, and the length of a packet or a need.
func (c Cut) Parts() (Kind, int) { return c.kind, c.length }

// String returns the cut as Go writes it.
func (c Cut) String() string {
	switch c.kind {
	case IsPacket:
		return "Packet(" + strconv.Itoa(c.length) + ")"
	case IsNeed:
		return "Need(" + strconv.Itoa(c.length) + ")"
	case IsStartTLS:
		return "StartTLS"
	}
	return "Cut{}"
}

// Limit is the largest packet in bytes, framing included, or the largest number.
type Limit struct {
	max  int
	noun string
}

// Max returns a limit. Errors call the packet or the number by the noun, such as "header line".
// Without one it is a packet or a length.
func Max(max int, noun ...string) Limit {
	limit := Limit{max: max}
	if len(noun) > 0 {
		limit.noun = noun[0]
	}
	return limit
}

func (l Limit) wrong(what string) error {
	noun := l.noun
	if noun == "" {
		noun = "packet"
	}
	return errors.New("the " + noun + " " + what)
}

func (l Limit) tooLong() error {
	return l.wrong("has more than " + strconv.Itoa(l.max) + " bytes")
}

func (l Limit) noNumber() error {
	if l.noun == "" {
		l.noun = "length"
	}
	return l.wrong("is not a decimal number from 0 to " + strconv.Itoa(l.max))
}

// Fixed cuts a packet whose length is known. It is also the last step for a codec that has read the
// length itself.
func Fixed(rest []byte, length int, limit Limit) (Cut, error) {
	switch {
	case length < 0 || length > limit.max:
		return Cut{}, limit.tooLong()
	case length == 0:
		return Cut{}, limit.wrong("has 0 bytes")
	case len(rest) < length:
		return Need(length), nil
	}
	return Packet(length), nil
}

// LengthField is a binary length of fixed width.
type LengthField struct {
	// Offset is the number of bytes before the field.
	Offset int
	// Width is the width of the field, 1 to 4 bytes.
	Width        int
	LittleEndian bool
	// Adjust is added to the value of the field to get the number of bytes that follow it.
	Adjust int
}

// Cut cuts a packet with this length field.
func (f LengthField) Cut(rest []byte, limit Limit) (Cut, error) {
	if f.Width < 1 || f.Width > 4 {
		return Cut{}, errors.New("bug: a length field has 1 to 4 bytes")
	}
	head := f.Offset + f.Width
	if len(rest) < head {
		return Fixed(rest, head, limit)
	}
	value := number(rest[f.Offset:head], f.LittleEndian)
	after := value + f.Adjust
	if after < 0 {
		return Cut{}, errors.New("the length field is " + strconv.Itoa(value) +
			", and at least " + strconv.Itoa(-f.Adjust) + " is needed")
	}
	return Fixed(rest, head+after, limit)
}

// number reads a number of at most 4 bytes.
func number(field []byte, littleEndian bool) int {
	value := uint64(0)
	for i := range field {
		at := i
		if littleEndian {
			at = len(field) - 1 - i
		}
		value = value<<8 | uint64(field[at])
	}
	return int(value)
}

// Number is a decimal number in a stream.
type Number struct {
	Value int
	// End is the index of the first byte behind the delimiter.
	End int
	// Need is above 0 if the number is not complete: the rest must have at least this many bytes.
	Need int
}

// Digits reads a decimal number that begins at the index at and ends before a delimiter. The limit is
// the largest number. The number has no more digits than the limit, and no sign and no space.
func Digits(rest []byte, at int, delimiter byte, limit Limit) (Number, error) {
	most := len(strconv.Itoa(limit.max))
	value := 0
	for i := at; i < len(rest); i++ {
		digit := rest[i] - '0'
		switch {
		case rest[i] == delimiter && i > at:
			return Number{Value: value, End: i + 1}, nil
		case digit > 9 || i-at == most || int(digit) > limit.max || value > (limit.max-int(digit))/10:
			return Number{}, limit.noNumber()
		}
		value = value*10 + int(digit)
	}
	return Number{Need: max(len(rest), at) + 1}, nil
}

// BER cuts an element of BER or DER: tag, length and content. The tag has at most 5 bytes. The length
// is definite, and its long form has at most 4 bytes.
func BER(rest []byte, limit Limit) (Cut, error) {
	const longTag, more = 0x1f, 0x80
	at := 1
	// If the low bits of the first byte are all ones, the tag continues up to a byte below 0x80.
	if len(rest) > 0 && rest[0]&longTag == longTag {
		for {
			if at == 5 {
				return Cut{}, errors.New("the tag has more than 5 bytes")
			}
			if at == len(rest) {
				return Fixed(rest, at+1, limit)
			}
			at++
			if rest[at-1] < more {
				break
			}
		}
	}
	if len(rest) <= at {
		return Fixed(rest, at+1, limit)
	}
	first := rest[at]
	at++
	if first < more {
		return Fixed(rest, at+int(first), limit)
	}
	width := int(first &^ more)
	switch {
	case width == 0:
		return Cut{}, errors.New("the length is indefinite")
	case width > 4:
		return Cut{}, errors.New("the length has more than 4 bytes")
	case len(rest) < at+width:
		return Fixed(rest, at+width, limit)
	}
	return Fixed(rest, at+width+number(rest[at:at+width], false), limit)
}

// searchOn returns the answer for a rest without an end: at least this many bytes are missing. The
// rest is refused only when it reaches the limit, and no need is above the limit.
func searchOn(rest []byte, missing int, limit Limit) (Cut, error) {
	if len(rest) >= limit.max {
		return Cut{}, limit.tooLong()
	}
	return Need(min(limit.max, len(rest)+missing)), nil
}

// found returns a packet that ends here.
func found(end int, limit Limit) (Cut, error) {
	if end > limit.max {
		return Cut{}, limit.tooLong()
	}
	return Packet(end), nil
}

// Line cuts a packet that ends with a delimiter of at least one byte, which belongs to the packet.
func Line(rest []byte, delimiter string, limit Limit) (Cut, error) {
	if delimiter == "" {
		return Cut{}, errors.New("bug: a delimiter has at least one byte")
	}
	seen := rest[:min(len(rest), max(limit.max, 0))]
	if at := bytes.Index(seen, []byte(delimiter)); at >= 0 {
		return found(at+len(delimiter), limit)
	}
	// The last bytes may be the beginning of the delimiter.
	begun := len(delimiter) - 1
	for !bytes.HasSuffix(rest, []byte(delimiter[:begun])) {
		begun--
	}
	return searchOn(rest, len(delimiter)-begun, limit)
}

// Escaped cuts a packet that ends with a delimiter, which belongs to the packet. An escape byte makes
// the byte behind it an ordinary one, even if it is the delimiter or an escape byte.
func Escaped(rest []byte, delimiter, escape byte, limit Limit) (Cut, error) {
	at := 0
	for ; at < min(len(rest), limit.max); at++ {
		switch rest[at] {
		case delimiter:
			return Packet(at + 1), nil
		case escape:
			at++
		}
	}
	// After an escape byte, at counts the byte behind it, which may not be there.
	return searchOn(rest, max(at, len(rest))+1-len(rest), limit)
}

// Enclosed cuts a packet that begins and ends with the same delimiter, as in 7e … 7e. Both belong to
// the packet. The delimiter does not occur between them, not even behind an escape byte. Further
// delimiters at the beginning belong to the packet too.
func Enclosed(rest []byte, delimiter byte, limit Limit) (Cut, error) {
	if len(rest) == 0 {
		return searchOn(rest, 1, limit)
	}
	if rest[0] != delimiter {
		return Cut{}, limit.wrong("begins with " + hex(rest[0]) + ", and not with " + hex(delimiter))
	}
	seen := rest[:min(len(rest), limit.max)]
	content := 0
	for content < len(seen) && seen[content] == delimiter {
		content++
	}
	if content == len(seen) {
		// Another byte and the delimiter are missing.
		return searchOn(rest, 2, limit)
	}
	if length := bytes.IndexByte(seen[content:], delimiter); length >= 0 {
		return Packet(content + length + 1), nil
	}
	return searchOn(rest, 1, limit)
}

func hex(value byte) string {
	const digits = "0123456789abcdef"
	return "0x" + string([]byte{digits[value>>4], digits[value&15]})
}
