package wireplug

// Packets are what a message becomes: none, one or several.
type Packets struct {
	bytes []byte
	ends  []uint32
}

// Add adds a packet.
func (p *Packets) Add(packet []byte) {
	p.bytes = append(p.bytes, packet...)
	p.ends = append(p.ends, uint32(len(p.bytes)))
}

// Begin returns an empty slice to which a packet is appended in place. [Packets.End] ends the packet.
//
//	packet := packets.Begin()
//	packet = append(packet, message.Body...)
//	packets.End(packet)
func (p *Packets) Begin() []byte {
	return p.bytes[len(p.bytes):]
}

// End adds the packet that was appended to the slice of [Packets.Begin]. A packet that is not ended
// is dropped.
func (p *Packets) End(packet []byte) {
	p.bytes = joined(p.bytes, packet)
	p.ends = append(p.ends, uint32(len(p.bytes)))
}

// truncate keeps the first packets only.
func (p *Packets) truncate(packets int) {
	p.ends = p.ends[:packets]
	end := uint32(0)
	if packets > 0 {
		end = p.ends[packets-1]
	}
	p.bytes = p.bytes[:end]
}

// reset makes the list empty, and keeps its memory unless it is large.
func (p *Packets) reset() {
	*p = Packets{bytes: emptied(p.bytes), ends: emptied(p.ends)}
}

// encode adds the packets of one message, or none if there is an error.
func (p *Packets) encode(session Session, message *Message, now Instant) error {
	before := len(p.ends)
	err := session.Encode(message, now, p)
	if err != nil {
		p.truncate(before)
	}
	return err
}
