// How messages travel: 8=FIX.4.4|9=LENGTH|, LENGTH bytes, and 10=CHECKSUM|. A | stands for SOH.

package main

import (
	"bytes"
	"strconv"

	"wireplug"
	"wireplug/cut"
)

const (
	soh = '\x01'

	// beginning is how every message begins, up to the digits of its BodyLength.
	beginning = "8=FIX.4.4\x019="

	// trailerSize is the size of 10=000|.
	trailerSize = 7

	// maxMessage is the size of the largest message in bytes, in both directions: the default of
	// limits.max-packet. Messages of orders have some hundred bytes.
	maxMessage = 64 << 10

	// maxBodyLength is the largest BodyLength that is read as a number. With a larger one the message
	// is garbled. With one above the limit of the listener, the connection ends.
	maxBodyLength = 9_999_999

	// minMaxMessage is the least limit that a listener may set. What the session says by itself must
	// fit: it has two CompIDs, a TestReqID, a text, and some short fields.
	minMaxMessage = 1 << 10
)

// cutMessage finds the end of the message at the front of the stream. If the message is garbled, it
// finds the beginning of the next one, because BodyLength cannot be trusted. FIX wants garbled
// messages to be ignored.
func cutMessage(rest []byte, largest int) (cut.Cut, error) {
	switch {
	case !begins(rest):
		return cutGarbled(rest, largest)
	case len(rest) < len(beginning):
		// The next byte may be a wrong one.
		return cut.Need(len(rest) + 1), nil
	}
	length, err := cut.Digits(rest, len(beginning), soh, cut.Max(maxBodyLength))
	if err != nil {
		return cutGarbled(rest, largest)
	}
	if length.Need > 0 {
		return cut.Need(length.Need), nil
	}
	whole, err := cut.Fixed(rest, length.End+length.Value+trailerSize, cut.Max(largest, "message"))
	if _, size := whole.Parts(); err != nil || size > len(rest) || isTrailer(rest[size-trailerSize:size]) {
		return whole, err
	}
	return cutGarbled(rest, largest)
}

// begins returns whether a message begins with these bytes, as far as they have come.
func begins(rest []byte) bool {
	length := min(len(rest), len(beginning))
	return string(rest[:length]) == beginning[:length]
}

// cutGarbled cuts up to the next beginning of a message.
func cutGarbled(rest []byte, largest int) (cut.Cut, error) {
	seen := rest[:min(len(rest), largest)]
	if at := bytes.Index(seen[1:], []byte(beginning)); at >= 0 {
		return cut.Packet(1 + at), nil
	}
	if len(rest) >= largest {
		return cut.Cut{}, wireplug.Fatal("no message begins in " + strconv.Itoa(largest) + " bytes")
	}
	return cut.Need(len(rest) + 1), nil
}

// isTrailer returns whether these 7 bytes are 10=000| with any digits.
func isTrailer(trailer []byte) bool {
	if string(trailer[:3]) != "10=" || trailer[6] != soh {
		return false
	}
	for _, digit := range trailer[3:6] {
		if digit < '0' || digit > '9' {
			return false
		}
	}
	return true
}

// openFrame returns what stands between BodyLength and CheckSum: fields that each end with SOH. An
// error says why the message is garbled.
func openFrame(packet []byte, verifies bool) ([]byte, error) {
	if !bytes.HasPrefix(packet, []byte(beginning)) {
		return nil, wireplug.Reject("garbled: a message begins with 8=FIX.4.4 and BodyLength(9)")
	}
	length, err := cut.Digits(packet, len(beginning), soh, cut.Max(maxBodyLength))
	if err != nil || length.Need > 0 {
		return nil, wireplug.Reject("garbled: BodyLength(9) is no number up to 9999999")
	}
	end := len(packet) - trailerSize
	if length.End+length.Value != end || !isTrailer(packet[end:]) {
		return nil, wireplug.Reject("garbled: CheckSum(10) does not stand where BodyLength(9) says")
	}
	body := packet[length.End:end]
	if !bytes.HasPrefix(body, []byte("35=")) || body[len(body)-1] != soh {
		return nil, wireplug.Reject("garbled: MsgType(35) is not the third field, or the last field has no end")
	}
	written := string(packet[end+3 : end+6])
	if computed := checksum(packet[:end]); verifies && written != string(computed[:]) {
		return nil, wireplug.Reject("garbled: CheckSum(10) is " + written + ", and not " + string(computed[:]))
	}
	return body, nil
}

// closeFrame appends a message with this body.
func closeFrame(to, body []byte) []byte {
	start := len(to)
	to = append(to, beginning...)
	to = append(strconv.AppendInt(to, int64(len(body)), 10), soh)
	to = append(to, body...)
	sum := checksum(to[start:])
	to = append(to, "10="...)
	return append(append(to, sum[:]...), soh)
}

// frameSize returns the size of a message with a body of this size.
func frameSize(body int) int {
	return len(beginning) + len(strconv.Itoa(body)) + len("\x01") + body + trailerSize
}

// checksum returns the sum of all bytes modulo 256, in three digits.
func checksum(bytes []byte) [3]byte {
	var sum byte
	for _, b := range bytes {
		sum += b
	}
	return [3]byte{'0' + sum/100, '0' + sum/10%10, '0' + sum%10}
}
