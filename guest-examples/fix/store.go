// What was sent to the client and can be sent again.

package main

const (
	// maxStored and maxStoredBytes bound the messages of the application that a session keeps for a
	// client that asks for them again. A client that misses more gets a gap fill for the oldest.
	maxStored      = 1000
	maxStoredBytes = 256 << 10
)

// sentMessage is a message of the application that was sent.
type sentMessage struct {
	number uint64
	kind   string
	// time is when it was sent first, in milliseconds since 1970.
	time uint64
	// fields are the bytes behind the header.
	fields []byte
}

// store has the last messages of the application, in the order of their numbers.
type store struct {
	messages []sentMessage
	// bytes is the number of bytes in all fields.
	bytes int
}

// add adds a message, and drops the oldest ones above the limits.
func (s *store) add(message sentMessage) {
	s.messages = append(s.messages, message)
	s.bytes += len(message.fields)
	for len(s.messages) > maxStored || s.bytes > maxStoredBytes {
		s.bytes -= len(s.messages[0].fields)
		s.messages[0] = sentMessage{}
		s.messages = s.messages[1:]
	}
}

// between returns the messages with numbers from first to last.
func (s *store) between(first, last uint64) []sentMessage {
	start := 0
	for start < len(s.messages) && s.messages[start].number < first {
		start++
	}
	end := start
	for end < len(s.messages) && s.messages[end].number <= last {
		end++
	}
	return s.messages[start:end]
}
