// What the client asks for again.

package main

import "wireplug"

// maxResent is how many bytes are sent again in one second: all that can be stored, once. A client that
// asks for more would fill the memory with copies, so it is logged out.
const maxResent = maxStoredBytes + maxStored*maxHeader

// resent counts what was sent again.
type resent struct {
	// second is when, in seconds of the session.
	second uint64
	bytes  int
}

// resend answers a ResendRequest: messages of the application that are stored are sent again, and a
// gap fill stands for all others.
func (s *session) resend(m *message, now wireplug.Instant, events *wireplug.Events) *fault {
	first, wrong := m.numberIn(tagBeginSeqNo)
	if wrong != nil {
		return wrong
	}
	last, wrong := m.numberIn(tagEndSeqNo)
	switch {
	case wrong != nil:
		return wrong
	case first == 0 || first >= s.out:
		return &fault{reasonValue, tagBeginSeqNo, "is not the number of a message that was sent"}
	case last == 0 || last >= s.out:
		last = s.out - 1
	case last < first:
		return &fault{reasonValue, tagEndSeqNo, "is below BeginSeqNo(7)"}
	}
	messages := s.sent.between(first, last)
	if !s.mayResend(messages, now) {
		s.logOut("too much was asked for again within a second", now, events)
		return nil
	}
	s.lastOut = now.SessionMs
	for _, message := range messages {
		s.fillGap(first, message.number, now, events)
		events.ReplyWith(func(to []byte) []byte { return s.write(to, message, true, now) })
		first = message.number + 1
	}
	s.fillGap(first, last+1, now, events)
	return nil
}

// fillGap stands for the messages before the next one.
func (s *session) fillGap(first, next uint64, now wireplug.Instant, events *wireplug.Events) {
	if first == next {
		return
	}
	fields := appendField(nil, tagGapFillFlag, "Y")
	fields = appendNumber(fields, tagNewSeqNo, next)
	message := sentMessage{number: first, kind: sequenceReset, time: now.UnixMs, fields: fields}
	events.ReplyWith(func(to []byte) []byte { return s.write(to, message, true, now) })
}

func (s *session) mayResend(messages []sentMessage, now wireplug.Instant) bool {
	if second := now.SessionMs / 1000; second != s.resent.second {
		s.resent = resent{second: second}
	}
	for _, message := range messages {
		s.resent.bytes += maxHeader + len(message.fields)
	}
	return s.resent.bytes <= maxResent
}
