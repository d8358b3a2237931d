// The two framings of the protocol: how each cuts, reads and writes a frame.

package main

import (
	"bytes"
	"encoding/binary"
	"strconv"

	"wireplug"
	"wireplug/cut"
)

const (
	// The largest header line and the largest frame, in bytes.
	maxLine  = 256
	maxFrame = 66_000

	maxArgument = 200
	maxBody     = 65_535
	maxID       = 1<<32 - 1

	// The length before a binary frame, and the head that follows it, in bytes.
	lengthSize = 4
	headSize   = 6

	startTLS = "STLS\r\n"
)

// frame is a frame of either framing. The argument is empty if there is none. The argument and the
// body of a frame that was read are part of its packet.
type frame struct {
	kind     string
	id       uint32
	argument []byte
	body     []byte
}

// framing is how frames travel.
type framing interface {
	cut(rest []byte) (cut.Cut, error)
	// read returns the frame that a client sent.
	read(packet []byte) (frame, error)
	// write appends the bytes of a frame.
	write(to []byte, frame frame) []byte
}

var errArgument = wireplug.Fatal("the argument is not 1 to 200 printable ASCII characters without spaces")

// isArgument returns whether a text is 1 to 200 printable ASCII characters without spaces.
func isArgument[T string | []byte](text T) bool {
	for i := range len(text) {
		if text[i] <= ' ' || text[i] > '~' {
			return false
		}
	}
	return len(text) > 0 && len(text) <= maxArgument
}

// number reads a decimal number without leading zeros.
func number(digits []byte, max uint64) (value uint64, isNumber bool) {
	for _, digit := range digits {
		value = value*10 + uint64(digit-'0')
		if digit < '0' || digit > '9' || value > max {
			return 0, false
		}
	}
	return value, len(digits) == 1 || len(digits) > 1 && digits[0] != '0'
}

// text is "KIND ID LENGTH[ ARGUMENT]\n", and a body.
type text struct{}

func (text) cut(rest []byte) (cut.Cut, error) {
	line, err := cut.Line(rest, "\n", cut.Max(maxLine, "header line"))
	kind, end := line.Parts()
	if err != nil || kind != cut.IsPacket || string(rest[:end]) == startTLS {
		return line, err
	}
	fields := bytes.SplitN(rest[:end-1], []byte(" "), 4)
	if len(fields) < 3 {
		return line, wireplug.Fatal("the header line has no length")
	}
	length, isNumber := number(fields[2], maxBody)
	if !isNumber {
		return line, wireplug.Fatal("the length is not a decimal number from 0 to 65535")
	}
	return cut.Fixed(rest, end+int(length), cut.Max(maxFrame, "frame"))
}

func (text) read(packet []byte) (frame, error) {
	end := bytes.IndexByte(packet, '\n') + 1
	if string(packet[:end]) == startTLS {
		return frame{kind: "STLS"}, nil
	}
	fields := bytes.SplitN(packet[:end-1], []byte(" "), 4)
	id, isNumber := number(fields[1], maxID)
	if !isNumber {
		return frame{}, wireplug.Fatal("the id is not a decimal number from 0 to 4294967295")
	}
	read := frame{kind: string(fields[0]), id: uint32(id), body: packet[end:]}
	if len(fields) == 4 {
		read.argument = fields[3]
		if !isArgument(read.argument) {
			return frame{}, errArgument
		}
	}
	switch read.kind {
	case "REQ", "NTC", "RES", "BYE", "BIN":
		return read, nil
	}
	return frame{}, wireplug.Fatal("the kind is not REQ, NTC, RES, BYE or BIN")
}

func (text) write(to []byte, frame frame) []byte {
	to = append(append(to, frame.kind...), ' ')
	to = append(strconv.AppendUint(to, uint64(frame.id), 10), ' ')
	to = strconv.AppendInt(to, int64(len(frame.body)), 10)
	if len(frame.argument) > 0 {
		to = append(append(to, ' '), frame.argument...)
	}
	return append(append(to, '\n'), frame.body...)
}

// binaryFrames is a length, the kind, the id, the length of the argument, the argument, and a body.
type binaryFrames struct{}

func (binaryFrames) cut(rest []byte) (cut.Cut, error) {
	return cut.LengthField{Width: lengthSize}.Cut(rest, cut.Max(maxFrame, "frame"))
}

func (binaryFrames) read(packet []byte) (frame, error) {
	content := packet[lengthSize:]
	if len(content) < headSize {
		return frame{}, wireplug.Fatal("the frame is shorter than its head")
	}
	head, content := content[:headSize], content[headSize:]
	length := int(head[5])
	if length > len(content) {
		return frame{}, wireplug.Fatal("the argument is longer than the frame")
	}
	read := frame{id: binary.BigEndian.Uint32(head[1:5]), argument: content[:length], body: content[length:]}
	if length > 0 && !isArgument(read.argument) {
		return frame{}, errArgument
	}
	if len(read.body) > maxBody {
		return frame{}, wireplug.Fatal("the body has more than 65535 bytes")
	}
	switch head[0] {
	case 'R':
		read.kind = "REQ"
	case 'N':
		read.kind = "NTC"
	case 'S':
		read.kind = "RES"
	case 'B':
		read.kind = "BYE"
	default:
		return frame{}, wireplug.Fatal("the kind is not R, N, S or B")
	}
	return read, nil
}

func (binaryFrames) write(to []byte, frame frame) []byte {
	letter := frame.kind[0]
	if frame.kind == "RES" {
		letter = 'S'
	}
	to = binary.BigEndian.AppendUint32(to, uint32(headSize+len(frame.argument)+len(frame.body)))
	to = binary.BigEndian.AppendUint32(append(to, letter), frame.id)
	to = append(append(to, byte(len(frame.argument))), frame.argument...)
	return append(to, frame.body...)
}
