// The Logon of a client, and the decision of the application.

package main

import (
	"strconv"

	"wireplug"
)

// maxHeartbeat is the largest HeartBtInt in seconds. With a longer one, a dead client would be noticed
// after hours.
const maxHeartbeat = 3600

// decodeLogon reads the first message.
func (s *session) decodeLogon(m *message, wrong *fault, now wireplug.Instant, events *wireplug.Events) error {
	if m.kind != logon || !isCompID(m.sender) || !isCompID(m.target) {
		return wireplug.Fatal("the first message is not a Logon with SenderCompID and TargetCompID")
	}
	s.client, s.server = string(m.sender), string(m.target)
	if wrong == nil {
		wrong = s.checkLogon(m, now)
	}
	if wrong != nil {
		s.logOut(wrong.String(), now, events)
		return nil
	}
	s.in = 2
	s.phase = awaitsAnswer
	ids := []field{{tagSenderCompID, m.sender}, {tagTargetCompID, m.target}}
	events.Hello(appendList(nil, ids, m.fields))
	return nil
}

func isCompID(id []byte) bool { return len(id) > 0 && len(id) <= maxCompID }

// checkLogon checks a Logon, and takes what it says.
func (s *session) checkLogon(m *message, now wireplug.Instant) *fault {
	heartbeat, wrong := m.numberIn(tagHeartBtInt)
	switch {
	case wrong != nil:
		return wrong
	case heartbeat > maxHeartbeat:
		return &fault{reasonValue, tagHeartBtInt, "is above 3600"}
	case string(m.get(tagEncryptMethod)) != "0":
		return &fault{reasonValue, tagEncryptMethod, "is not 0"}
	case !m.flag(tagResetSeqNumFlag):
		return &fault{reasonValue, tagResetSeqNumFlag, "is not Y: every connection begins with number 1"}
	case m.number != 1:
		return &fault{reasonValue, tagMsgSeqNum, "is not 1"}
	}
	s.heartbeat = heartbeat
	return s.checkHeader(m, now)
}

func (s *session) Answer(status uint16, body []byte, now wireplug.Instant, events *wireplug.Events) {
	var fields []byte
	if len(body) > 0 {
		list, err := readList(body)
		if err == nil {
			fields, err = s.readFields(list)
		}
		if err != nil {
			events.Log(wireplug.LevelError, "the answer to a Logon cannot be written: "+err.Error())
			fields, status = nil, 500
		}
	}
	if status != 200 {
		if fields == nil {
			fields = appendField(nil, tagText, "the Logon was refused with status "+strconv.Itoa(int(status)))
		}
		s.reply(logout, fields, now, events)
		s.phase = ended
		events.Close("the application refused the Logon")
		return
	}
	s.phase = loggedOn
	s.sendLogon(fields, now, events)
	events.Established()
	s.setTimer(now, events)
}

func (s *session) sendLogon(more []byte, now wireplug.Instant, events *wireplug.Events) {
	fields := appendField(nil, tagEncryptMethod, "0")
	fields = appendNumber(fields, tagHeartBtInt, s.heartbeat)
	fields = appendField(fields, tagResetSeqNumFlag, "Y")
	s.reply(logon, append(fields, more...), now, events)
}

// beginAgain answers a Logon in the middle of a session: both sides begin with number 1 again.
func (s *session) beginAgain(m *message, now wireplug.Instant, events *wireplug.Events) {
	if wrong := s.checkLogon(m, now); wrong != nil {
		s.logOut(wrong.String(), now, events)
		return
	}
	s.in, s.out = 2, 1
	s.epoch++
	s.gap, s.sent = gap{}, store{}
	s.sendLogon(nil, now, events)
	s.setTimer(now, events)
}
