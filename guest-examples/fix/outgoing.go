// How messages to the client are written.

package main

import (
	"bytes"
	"errors"
	"strconv"
	"strings"

	"wireplug"
)

// maxHeader is the size of the longest header of a message in bytes, from MsgType to
// OrigSendingTime.
const maxHeader = 256

func appendField[T string | []byte](to []byte, tag int, value T) []byte {
	to = append(strconv.AppendInt(to, int64(tag), 10), '=')
	return append(append(to, value...), soh)
}

func appendNumber(to []byte, tag int, value uint64) []byte {
	to = append(strconv.AppendInt(to, int64(tag), 10), '=')
	return append(strconv.AppendUint(to, value, 10), soh)
}

// send appends a new message with the next number.
func (s *session) send(to []byte, kind string, fields []byte, now wireplug.Instant) []byte {
	number := s.out
	s.out++
	s.lastOut = now.SessionMs
	if !isOfSession(kind) {
		s.sent.add(sentMessage{number, kind, now.UnixMs, bytes.Clone(fields)})
	}
	return s.write(to, sentMessage{number: number, kind: kind, fields: fields}, false, now)
}

// reply sends a message at once.
func (s *session) reply(kind string, fields []byte, now wireplug.Instant, events *wireplug.Events) {
	events.ReplyWith(func(to []byte) []byte { return s.send(to, kind, fields, now) })
}

// write appends a message. If it is sent again, it says so, and when it was sent first.
func (s *session) write(to []byte, message sentMessage, isAgain bool, now wireplug.Instant) []byte {
	body := make([]byte, 0, maxHeader+len(message.fields))
	body = appendField(body, tagMsgType, message.kind)
	body = appendField(body, tagSenderCompID, s.server)
	body = appendField(body, tagTargetCompID, s.client)
	body = appendNumber(body, tagMsgSeqNum, message.number)
	body = appendTime(body, tagSendingTime, now.UnixMs)
	if isAgain {
		body = appendField(body, tagPossDupFlag, "Y")
		body = appendTime(body, tagOrigSendingTime, message.time)
	}
	return closeFrame(to, append(body, message.fields...))
}

// readMessage reads a message of the application: its type, and the bytes of the other fields.
func (s *session) readMessage(body []byte) (kind string, fields []byte, err error) {
	list, err := readList(body)
	if err != nil {
		return "", nil, err
	}
	first, err := list.next()
	kind = string(first.value)
	switch {
	case err != nil:
		return "", nil, err
	case first.tag != tagMsgType || !isType(kind):
		return "", nil, errors.New("the first field is not MsgType(35) with 1 to 8 letters and digits")
	case isOfSession(kind):
		return "", nil, errors.New("messages of type " + kind + " are sent by the codec")
	}
	fields, err = s.readFields(list)
	return kind, fields, err
}

// readFields reads the rest of a list.
func (s *session) readFields(list listReader) (fields []byte, err error) {
	for {
		next, err := list.next()
		if err != nil || next.tag == 0 {
			return fields, err
		}
		length, isData := lengthFields[next.tag]
		_, isLength := dataFields[next.tag]
		switch {
		case isOfCodec(next.tag) || isLength || next.tag == tagMsgType:
			return nil, errors.New("field " + strconv.Itoa(next.tag) + " is written by the codec")
		case len(next.value) == 0:
			return nil, errors.New("field " + strconv.Itoa(next.tag) + " has no value")
		case isData:
			fields = appendNumber(fields, length, uint64(len(next.value)))
		case bytes.IndexByte(next.value, soh) >= 0:
			return nil, errors.New("field " + strconv.Itoa(next.tag) + " contains SOH")
		}
		fields = appendField(fields, next.tag, next.value)
		if frameSize(maxHeader+len(fields)) > s.largest {
			return nil, errors.New("the message has more than " + strconv.Itoa(s.largest) + " bytes")
		}
	}
}

// rejectMessage answers a message that the session does not accept.
func (s *session) rejectMessage(m *message, wrong *fault, now wireplug.Instant, events *wireplug.Events) {
	fields := appendNumber(nil, tagRefSeqNum, m.number)
	if wrong.tag != 0 {
		fields = appendNumber(fields, tagRefTagID, uint64(wrong.tag))
	}
	if isType(m.kind) {
		fields = appendField(fields, tagRefMsgType, m.kind)
	}
	fields = appendNumber(fields, tagRejectReason, uint64(wrong.reason))
	fields = appendField(fields, tagText, wrong.String())
	s.reply(reject, fields, now, events)
}

// String returns the fault for people.
func (f *fault) String() string {
	if f.tag == 0 {
		return f.text
	}
	return "field " + strconv.Itoa(f.tag) + " " + f.text
}

// refusal returns the fields of BusinessMessageReject(35=j) for a response without a message.
func refusal(response *wireplug.Message) []byte {
	kind := strings.TrimPrefix(response.Route, routePrefix)
	fields := appendNumber(nil, tagRefSeqNum, response.ID&maxID)
	fields = appendField(fields, tagRefMsgType, kind)
	reason, text := uint64(businessOther), "the application answered with status "+strconv.Itoa(int(response.Status))
	switch response.Status {
	case 404:
		reason, text = businessUnsupported, "messages of type "+kind+" are not supported"
	case 401, 403:
		reason = businessNotAuthorized
	case 429, 503, 504:
		reason = businessNotAvailable
	}
	fields = appendNumber(fields, tagBusinessReason, reason)
	return appendField(fields, tagText, text)
}

// Values of BusinessRejectReason(380).
const (
	businessOther         = 0
	businessUnsupported   = 3
	businessNotAvailable  = 4
	businessNotAuthorized = 6
)

// logOut ends the session with a Logout. The text says why.
func (s *session) logOut(text string, now wireplug.Instant, events *wireplug.Events) {
	s.reply(logout, appendField(nil, tagText, text), now, events)
	s.phase = ended
	events.Close(text)
}
