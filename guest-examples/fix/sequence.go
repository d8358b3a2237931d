// Messages of a client that has logged on: their numbers, and the messages of the session.

package main

import (
	"strconv"

	"wireplug"
)

const (
	// routePrefix and MsgType are the route of a message.
	routePrefix = "fix."

	// maxID is the part of a request's id that is its MsgSeqNum. The rest is the epoch, because
	// numbers may begin again while the application works.
	maxID = 1<<32 - 1

	// maxSkew is how much SendingTime may differ from the time of this server, in milliseconds: FIX
	// recommends two minutes.
	maxSkew = 120_000

	// gapPatience is how long a client may take to send again what is missing, in milliseconds.
	gapPatience = 30_000
)

func (s *session) decodeMessage(m *message, wrong *fault, now wireplug.Instant, events *wireplug.Events) {
	if wrong == nil {
		wrong = s.checkHeader(m, now)
	}
	isValid := wrong == nil
	switch {
	case m.number == 0:
		s.logOut("MsgSeqNum(34) is missing, or not a number from 1 to 999999999", now, events)
	case isValid && m.kind == logon && m.flag(tagResetSeqNumFlag):
		s.beginAgain(m, now, events)
	case isValid && m.kind == sequenceReset && !m.flag(tagGapFillFlag):
		s.resetNumbers(m, now, events)
	case m.number < s.in:
		if !m.possDup {
			s.logOut("MsgSeqNum(34) is too low: "+strconv.FormatUint(m.number, 10)+" came and "+
				strconv.FormatUint(s.in, 10)+" was expected", now, events)
		}
	case m.number > s.in:
		s.decodeEarly(m, isValid, now, events)
	default:
		s.advance(s.in + 1)
		if isValid {
			wrong = s.dispatch(m, now, events)
		}
		s.refuse(m, wrong, now, events)
	}
}

// refuse answers a message with a fault.
func (s *session) refuse(m *message, wrong *fault, now wireplug.Instant, events *wireplug.Events) {
	if wrong == nil {
		return
	}
	s.rejectMessage(m, wrong, now, events)
	if wrong.reason == reasonCompID || wrong.reason == reasonSendingTime {
		s.logOut(wrong.String(), now, events)
	}
}

// checkHeader checks the CompIDs and the times of a message.
func (s *session) checkHeader(m *message, now wireplug.Instant) *fault {
	skew := m.sent - int64(now.UnixMs)
	switch {
	case string(m.sender) != s.client:
		return &fault{reasonCompID, tagSenderCompID, "is not that of the Logon"}
	case string(m.target) != s.server:
		return &fault{reasonCompID, tagTargetCompID, "is not that of the Logon"}
	case skew > maxSkew || skew < -maxSkew:
		return &fault{reasonSendingTime, tagSendingTime, "differs by more than 120 s from the server's time"}
	case m.firstSent > m.sent:
		return &fault{reasonSendingTime, tagOrigSendingTime, "is later than SendingTime(52)"}
	}
	return nil
}

// advance expects this number next, and closes the gap if nothing is missing any more.
func (s *session) advance(next uint64) {
	s.in = next
	if s.gap.last < next {
		s.gap = gap{}
	}
}

// decodeEarly handles a message whose number is too high. The message itself is dropped, because the
// client sends it again behind what is missing. Only two kinds cannot wait: a client that logs out
// sends nothing again, and two sides that wait for each other would wait for ever.
func (s *session) decodeEarly(m *message, isValid bool, now wireplug.Instant, events *wireplug.Events) {
	if isValid && m.kind == logout {
		s.confirmLogout(now, events)
		return
	}
	if isValid && m.kind == resendRequest {
		s.refuse(m, s.resend(m, now, events), now, events)
	}
	if s.phase == ended {
		return
	}
	if s.gap.last == 0 {
		fields := appendNumber(nil, tagBeginSeqNo, s.in)
		// 0: up to the last message.
		s.reply(resendRequest, appendNumber(fields, tagEndSeqNo, 0), now, events)
		s.gap.deadline = now.SessionMs + gapPatience
	}
	s.gap.last = max(s.gap.last, m.number)
	s.setTimer(now, events)
}

// dispatch handles a message in its turn.
func (s *session) dispatch(m *message, now wireplug.Instant, events *wireplug.Events) *fault {
	switch m.kind {
	case heartbeat:
	case testRequest:
		id := m.get(tagTestReqID)
		if len(id) > maxTestReqID {
			return &fault{reasonValue, tagTestReqID, "has more than 128 bytes"}
		}
		s.reply(heartbeat, appendField(nil, tagTestReqID, id), now, events)
	case resendRequest:
		return s.resend(m, now, events)
	case reject:
		events.Log(wireplug.LevelWarn, "the client has rejected message "+string(m.get(tagRefSeqNum))+": "+
			string(m.get(tagText)))
		events.Notice(routePrefix+reject, appendMessage(m))
	case sequenceReset:
		next, wrong := m.numberIn(tagNewSeqNo)
		if wrong != nil {
			return wrong
		}
		if next <= m.number {
			return &fault{reasonValue, tagNewSeqNo, "is not above MsgSeqNum(34)"}
		}
		s.advance(next)
	case logout:
		s.confirmLogout(now, events)
	case logon:
		return &fault{reasonOther, 0, "a Logon in a session needs ResetSeqNumFlag(141)=Y"}
	default:
		id := uint64(s.epoch)<<32 | m.number
		events.Request(id, routePrefix+m.kind, appendMessage(m))
	}
	return nil
}

// appendMessage returns a message for the application.
func appendMessage(m *message) []byte {
	return appendList(nil, []field{{tagMsgType, []byte(m.kind)}}, m.fields)
}

// confirmLogout answers the client's Logout.
func (s *session) confirmLogout(now wireplug.Instant, events *wireplug.Events) {
	s.reply(logout, nil, now, events)
	s.phase = ended
	events.Close("the client has logged out")
}

// resetNumbers handles SequenceReset-Reset: the client gives up the numbers before NewSeqNo.
func (s *session) resetNumbers(m *message, now wireplug.Instant, events *wireplug.Events) {
	next, wrong := m.numberIn(tagNewSeqNo)
	if wrong == nil && next < s.in {
		wrong = &fault{reasonValue, tagNewSeqNo, "is below " + strconv.FormatUint(s.in, 10) + ", which is expected"}
	}
	if wrong != nil {
		s.refuse(m, wrong, now, events)
		return
	}
	s.advance(next)
}
