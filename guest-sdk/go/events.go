package wireplug

// kind is the kind of an event, as in the contract.
type kind uint8

const (
	kindHello kind = iota
	kindEstablished
	kindMessage
	kindReply
	kindTimer
	kindAddressVerified
	kindLog
	kindClose
	kindRejected
	kindFatal
)

// eventHead is the head of an event, with the layout of the contract.
type eventHead struct {
	kind     kind
	packet   uint32
	role     Role
	id       uint64
	status   uint16
	routeEnd uint32
	bodyEnd  uint32
}

// Events are what a packet means, or what the session wants. A call adds them in order.
type Events struct {
	bytes []byte
	heads []eventHead
	// packet is the index of the current packet.
	packet uint32
	// over says that an event ends the batch.
	over bool
}

// add adds an event.
func (e *Events) add(head eventHead, route string, body []byte) {
	e.bytes = append(e.bytes, route...)
	head.routeEnd = uint32(len(e.bytes))
	e.bytes = append(e.bytes, body...)
	e.addHead(head)
}

// addText adds an event whose body is a text.
func (e *Events) addText(head eventHead, text string) {
	head.routeEnd = uint32(len(e.bytes))
	e.bytes = append(e.bytes, utf8Of(text)...)
	e.addHead(head)
}

// addHead adds the head of an event whose bytes are in place.
func (e *Events) addHead(head eventHead) {
	head.packet = e.packet
	if head.kind != kindMessage {
		head.status = 200
	}
	head.bodyEnd = uint32(len(e.bytes))
	e.heads = append(e.heads, head)
}

// Notice passes a notification to the application.
func (e *Events) Notice(route string, body []byte) {
	e.add(eventHead{kind: kindMessage, role: Notice, status: 200}, route, body)
}

// Request passes a request to the application. The response comes back with the same id.
func (e *Events) Request(id uint64, route string, body []byte) {
	e.add(eventHead{kind: kindMessage, role: Request, id: id, status: 200}, route, body)
}

// Response passes the client's response to a request of the application. The status is that of HTTP:
// 200 unless the request failed. Only if ClientRequests is above 0.
func (e *Events) Response(id uint64, status uint16, body []byte) {
	e.add(eventHead{kind: kindMessage, role: Response, id: id, status: status}, "", body)
}

// Reply sends a packet back at once. It goes out before every message that is not encoded yet.
func (e *Events) Reply(packet []byte) {
	e.add(eventHead{kind: kindReply}, "", packet)
}

// ReplyWith sends a packet back at once, as [Events.Reply] does. The function appends the packet to
// the slice that it gets, and returns the result. The packet is written in place.
func (e *Events) ReplyWith(appendTo func([]byte) []byte) {
	start := len(e.bytes)
	e.bytes = joined(e.bytes, appendTo(e.bytes[start:start]))
	e.addHead(eventHead{kind: kindReply, routeEnd: uint32(start)})
}

// Hello passes the client's introduction to the application, whose decision comes back in
// [Handshake]. This must be the last event of the call.
func (e *Events) Hello(body []byte) {
	e.over = true
	e.add(eventHead{kind: kindHello}, "", body)
}

// Established completes the handshake: from now on messages are allowed and pushes flow. At most once
// in a session, and only if the description says Handshake.
func (e *Events) Established() {
	e.add(eventHead{kind: kindEstablished}, "", nil)
}

// Timer asks for a call of [Clock] after this many milliseconds, or later if the listener sets a
// least interval. It replaces the timer before it.
func (e *Events) Timer(ms uint32) {
	e.add(eventHead{kind: kindTimer, id: uint64(ms)}, "", nil)
}

// AddressVerified reports that the client has shown that it receives what is sent to its address.
func (e *Events) AddressVerified() {
	e.add(eventHead{kind: kindAddressVerified}, "", nil)
}

// Log writes a line to the server's log. The runtime limits the rate, escapes the text and cuts it to
// 256 bytes.
func (e *Events) Log(level Level, text string) {
	e.addText(eventHead{kind: kindLog, id: uint64(level)}, text)
}

// Close ends the connection. The runtime ignores the events behind it. To send a last packet, put a
// Reply before it. Afterwards the session is asked only to encode the responses to messages that came
// before, and it may reject them.
func (e *Events) Close(reason string) { e.CloseWith(0, reason) }

// CloseWith ends the connection as [Events.Close] does, with a WebSocket close code: 1000 to 1003,
// 1007 to 1014 or 3000 to 4999. Other transports ignore the code. 0 leaves the choice to the runtime.
func (e *Events) CloseWith(code uint16, reason string) {
	e.over = true
	e.addText(eventHead{kind: kindClose, id: uint64(code)}, reason)
}

// refuse replaces the events behind these lengths by a refusal.
func (e *Events) refuse(bytes, heads int, err error) {
	e.bytes, e.heads = e.bytes[:bytes], e.heads[:heads]
	of := kindRejected
	if isFatal(err) {
		of = kindFatal
	}
	e.addText(eventHead{kind: of}, err.Error())
	e.over = of == kindFatal
}

// reset makes the events empty, and keeps their memory unless it is large.
func (e *Events) reset() {
	*e = Events{bytes: emptied(e.bytes), heads: emptied(e.heads)}
}

// decodePacket adds the events of the next packet of a batch.
func (e *Events) decodePacket(session Session, packet []byte, now Instant) {
	bytes, heads := len(e.bytes), len(e.heads)
	if err := session.Decode(packet, now, e); err != nil {
		e.refuse(bytes, heads, err)
	}
	e.packet++
}

// decodeBatch adds the events of a batch of packets. The batch ends with the first packet that says
// hello, closes or is fatal, because the runtime passes the packets behind it again or not at all.
func (e *Events) decodeBatch(session Session, bytes []byte, ends []uint32, now Instant) {
	start := uint32(0)
	for i, end := range ends {
		noteAt(uint32(i))
		e.decodePacket(session, bytes[start:end:end], now)
		if e.over {
			return
		}
		start = end
	}
}
