// How the fields of a message of the client are read.

package main

import (
	"bytes"
	"strconv"
	"time"
	"unicode/utf8"
)

const (
	// maxNumber is the largest MsgSeqNum, and the largest number in the other fields of the session.
	maxNumber = 999_999_999
	// maxTag is the largest tag. FIX reserves tags of five digits for agreements between two firms.
	maxTag = 99_999
	// maxCompID, maxTestReqID and maxType are the sizes of what the session sends back, in bytes.
	maxCompID    = 64
	maxTestReqID = 128
	maxType      = 8
)

// field is a field of a message. The value is part of the packet.
type field struct {
	tag   int
	value []byte
}

// message is a message of the client.
type message struct {
	kind string
	// number is MsgSeqNum, or 0 if the message has none.
	number         uint64
	sender, target []byte
	// sent and firstSent are SendingTime and OrigSendingTime, in milliseconds since 1970.
	sent, firstSent int64
	possDup         bool
	// fields has all other fields in their order, and no length fields of data.
	fields []field
}

// get returns the value of a field, or nil.
func (m *message) get(tag int) []byte {
	for _, field := range m.fields {
		if field.tag == tag {
			return field.value
		}
	}
	return nil
}

// flag returns whether the value of a field is Y.
func (m *message) flag(tag int) bool { return string(m.get(tag)) == "Y" }

// numberIn reads a field that must be a number.
func (m *message) numberIn(tag int) (uint64, *fault) {
	number, isNumber := parseNumber(m.get(tag))
	if !isNumber {
		return 0, &fault{reasonFormat, tag, "is not a number from 0 to 999999999"}
	}
	return number, nil
}

// fault is what is wrong with a message, as Reject(35=3) says it.
type fault struct {
	reason int
	// tag is 0 if there is none to name.
	tag  int
	text string
}

// Values of SessionRejectReason(373).
const (
	reasonTag         = 0
	reasonMissing     = 1
	reasonEmpty       = 4
	reasonValue       = 5
	reasonFormat      = 6
	reasonCompID      = 9
	reasonSendingTime = 10
	reasonType        = 11
	reasonDuplicate   = 13
	reasonOther       = 99
)

// header has the values of the fields that the session reads. Those that are missing are nil.
type header struct {
	kind, number, sender, target, sent, possDup, firstSent []byte
}

// slot returns where the value of a header field belongs, or nil for other fields.
func (h *header) slot(tag int) *[]byte {
	switch tag {
	case tagMsgType:
		return &h.kind
	case tagMsgSeqNum:
		return &h.number
	case tagSenderCompID:
		return &h.sender
	case tagTargetCompID:
		return &h.target
	case tagSendingTime:
		return &h.sent
	case tagPossDupFlag:
		return &h.possDup
	case tagOrigSendingTime:
		return &h.firstSent
	}
	return nil
}

// read reads a message and appends its fields to the slice. If there is a fault, the message has what
// stands before the fault.
func read(body []byte, to []field) (message, *fault) {
	var header header
	fields, wrong := readFields(body, to, &header)
	m := message{fields: fields}
	if inHeader := m.take(&header); wrong == nil {
		wrong = inHeader
	}
	for _, tag := range required[m.kind] {
		if wrong == nil && m.get(tag) == nil {
			wrong = &fault{reasonMissing, tag, "is missing"}
		}
	}
	return m, wrong
}

func readFields(body []byte, to []field, header *header) ([]field, *fault) {
	for len(body) > 0 {
		next, rest, wrong := readField(body)
		if data, isLength := dataFields[next.tag]; isLength && wrong == nil {
			next, rest, wrong = readData(next, data, rest)
		} else if wrong == nil && !utf8.Valid(next.value) {
			wrong = &fault{reasonFormat, next.tag, "is not UTF-8"}
		}
		if wrong != nil {
			return to, wrong
		}
		if slot := header.slot(next.tag); slot == nil {
			to = append(to, next)
		} else if *slot != nil {
			return to, &fault{reasonDuplicate, next.tag, "comes twice"}
		} else {
			*slot = next.value
		}
		body = rest
	}
	return to, nil
}

// readField reads 58=text| at the front of the bytes, and returns what is behind it.
func readField(body []byte) (field, []byte, *fault) {
	text, rest, _ := bytes.Cut(body, []byte{soh})
	digits, value, _ := bytes.Cut(text, []byte("="))
	tag, isNumber := parseNumber(digits)
	if !isNumber || tag == 0 || tag > maxTag || digits[0] == '0' {
		return field{}, nil, &fault{reasonTag, 0, "a tag is not a number from 1 to 99999"}
	}
	if len(value) == 0 {
		return field{}, nil, &fault{reasonEmpty, int(tag), "has no value"}
	}
	return field{int(tag), value}, rest, nil
}

// readData reads the data field that follows its length field.
func readData(length field, tag int, body []byte) (field, []byte, *fault) {
	size, isNumber := parseNumber(length.value)
	prefix := strconv.Itoa(tag) + "="
	end := len(prefix) + int(size)
	if !isNumber || size == 0 || end >= len(body) || string(body[:len(prefix)]) != prefix || body[end] != soh {
		text := "is not the length of the field " + strconv.Itoa(tag) + " behind it"
		return field{}, nil, &fault{reasonFormat, length.tag, text}
	}
	return field{tag, body[len(prefix):end]}, body[end+1:], nil
}

// take takes the values of the header.
func (m *message) take(h *header) *fault {
	m.kind = string(h.kind)
	m.number, _ = parseNumber(h.number)
	m.sender, m.target = h.sender, h.target
	m.possDup = string(h.possDup) == "Y"
	if !isType(m.kind) {
		return &fault{reasonType, tagMsgType, "is not 1 to 8 letters and digits"}
	}
	for _, id := range []field{{tagSenderCompID, h.sender}, {tagTargetCompID, h.target}} {
		switch {
		case id.value == nil:
			return &fault{reasonMissing, id.tag, "is missing"}
		case len(id.value) > maxCompID:
			return &fault{reasonValue, id.tag, "has more than 64 bytes"}
		}
	}
	var wrong *fault
	m.sent, wrong = readTime(field{tagSendingTime, h.sent})
	if m.possDup && m.kind != sequenceReset && wrong == nil {
		m.firstSent, wrong = readTime(field{tagOrigSendingTime, h.firstSent})
	}
	return wrong
}

// isType returns whether a text is a MsgType.
func isType(text string) bool {
	for _, letter := range []byte(text) {
		switch {
		case letter >= '0' && letter <= '9', letter >= 'A' && letter <= 'Z', letter >= 'a' && letter <= 'z':
		default:
			return false
		}
	}
	return text != "" && len(text) <= maxType
}

// parseNumber reads a decimal number up to [maxNumber].
func parseNumber(digits []byte) (uint64, bool) {
	number := uint64(0)
	for _, digit := range digits {
		number = number*10 + uint64(digit-'0')
		if digit < '0' || digit > '9' || number > maxNumber {
			return 0, false
		}
	}
	return number, len(digits) > 0
}

// How FIX writes a time in UTC, with milliseconds and without.
const (
	timestamp = "20060102-15:04:05.000"
	wholeTime = "20060102-15:04:05"
)

func readTime(from field) (int64, *fault) {
	if from.value == nil {
		return 0, &fault{reasonMissing, from.tag, "is missing"}
	}
	layout := wholeTime
	if len(from.value) == len(timestamp) {
		layout = timestamp
	}
	read, err := time.Parse(layout, string(from.value))
	if err != nil {
		return 0, &fault{reasonFormat, from.tag, "is not a time such as 20261129-20:15:00.123"}
	}
	return read.UnixMilli(), nil
}

func appendTime(to []byte, tag int, unixMs uint64) []byte {
	to = append(strconv.AppendInt(to, int64(tag), 10), '=')
	return append(time.UnixMilli(int64(unixMs)).UTC().AppendFormat(to, timestamp), soh)
}
