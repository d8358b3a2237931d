// Heartbeats, and what ends a session without the client.

package main

import (
	"strconv"
	"strings"

	"wireplug"
)

// maxReason is the size of the longest text in a Logout, in bytes.
const maxReason = 256

// testAfter returns after which silence of the client a TestRequest goes out, in milliseconds: the
// interval of heartbeats, and a fifth more for the way.
func (s *session) testAfter() uint64 { return s.heartbeat * 1200 }

func (s *session) Tick(now wireplug.Instant, events *wireplug.Events) {
	if s.phase != loggedOn {
		return
	}
	silence := now.SessionMs - s.lastIn
	switch {
	case s.gap.last > 0 && now.SessionMs >= s.gap.deadline:
		s.logOut("the messages from number "+strconv.FormatUint(s.in, 10)+" on were not sent again", now, events)
		return
	case s.heartbeat == 0:
	case s.isTesting && silence >= 2*s.testAfter():
		s.logOut("the TestRequest was not answered", now, events)
		return
	case !s.isTesting && silence >= s.testAfter():
		s.isTesting = true
		s.reply(testRequest, appendTime(nil, tagTestReqID, now.UnixMs), now, events)
	case now.SessionMs-s.lastOut >= s.heartbeat*1000:
		s.reply(heartbeat, nil, now, events)
	}
	s.setTimer(now, events)
}

// setTimer asks for a tick when something is due. Messages that come and go in the meantime make that
// later, and then the tick does nothing.
func (s *session) setTimer(now wireplug.Instant, events *wireplug.Events) {
	due := uint64(1<<64 - 1)
	if s.gap.last > 0 {
		due = s.gap.deadline
	}
	if s.heartbeat > 0 {
		test := s.lastIn + s.testAfter()
		if s.isTesting {
			test += s.testAfter()
		}
		due = min(due, test, s.lastOut+s.heartbeat*1000)
	}
	if due < 1<<64-1 {
		events.Timer(uint32(max(due, now.SessionMs+1) - now.SessionMs))
	}
}

func (s *session) Farewell(_ wireplug.Cause, reason string, now wireplug.Instant, events *wireplug.Events) {
	if s.phase != loggedOn {
		return
	}
	text := strings.Map(func(letter rune) rune {
		if letter < ' ' {
			return ' '
		}
		return letter
	}, reason)
	if len(text) > maxReason {
		text = strings.ToValidUTF8(text[:maxReason], "")
	}
	if text == "" {
		text = "the server ends the session"
	}
	s.reply(logout, appendField(nil, tagText, text), now, events)
	s.phase = ended
}
