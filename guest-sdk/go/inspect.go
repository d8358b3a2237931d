package wireplug

// Event is one of [Events], for tests: a codec can be tested with go test, without a sandbox.
type Event struct {
	// Kind is hello, established, message, reply, timer, address-verified, log, close, rejected or
	// fatal.
	Kind string
	// Packet is the index of the packet in its batch or stream.
	Packet int
	// Role is that of a message.
	Role Role
	// ID is the id of a message, the milliseconds of a timer, the level of a line in the log, or the
	// code of a close.
	ID uint64
	// Status is that of a message. 200 in other events.
	Status uint16
	Route  string
	// Body is the body of a message or a hello, the packet of a reply, or a text.
	Body string
}

var kindNames = [...]string{
	"hello", "established", "message", "reply", "timer", "address-verified", "log", "close", "rejected",
	"fatal",
}

// List returns the events that were added, for tests.
func (e *Events) List() []Event {
	var list []Event
	start := uint32(0)
	for _, head := range e.heads {
		list = append(list, Event{
			kindNames[head.kind], int(head.packet), head.role, head.id, head.status,
			string(e.bytes[start:head.routeEnd]), string(e.bytes[head.routeEnd:head.bodyEnd]),
		})
		start = head.bodyEnd
	}
	return list
}

// List returns the packets that were added, for tests.
func (p *Packets) List() []string {
	var list []string
	start := uint32(0)
	for _, end := range p.ends {
		list = append(list, string(p.bytes[start:end]))
		start = end
	}
	return list
}
