package wireplug

import (
	"strconv"

	"wireplug/cut"
)

// maxPackets is the largest number of packets in one call.
const maxPackets = 256

// next is what becomes of the rest, with the numbers of the contract.
type next uint8

const (
	nextNeed next = iota
	nextFull
	nextStartTLS
)

// frames are the packets that were cut from the front of a stream.
type frames struct {
	ends   []uint32
	events Events
	next   next
	need   uint32
}

func (f *frames) reset() {
	f.ends = f.ends[:0]
	f.events.reset()
	f.next, f.need = nextFull, 0
}

// decodeStream cuts and decodes the packets at the front of a stream. It ends with 256 packets, with
// the first packet that says hello, closes or is fatal, with TLS, or with a rest that is no whole
// packet.
func (f *frames) decodeStream(session Session, framer Framer, bytes []byte, now Instant) {
	start := 0
	for !f.events.over {
		rest := bytes[start:]
		noteAt(uint32(start))
		front, err := framer.Cut(rest)
		kind, length := front.Parts()
		switch {
		// A packet before this one may have asked for TLS, so Cut is called even at the limit.
		case len(f.ends) == maxPackets && (err != nil || kind != cut.IsStartTLS):
			return
		case err != nil:
			f.refuse(err.Error())
			return
		case kind == cut.IsPacket && length > 0 && length <= len(rest):
			start += length
			f.ends = append(f.ends, uint32(start))
			f.events.decodePacket(session, rest[:length:length], now)
		case kind == cut.IsNeed && length > len(rest):
			f.next, f.need = nextNeed, uint32(min(uint64(length), 1<<32-1))
			return
		case kind == cut.IsStartTLS && len(f.ends) > 0:
			f.next = nextStartTLS
			return
		default:
			f.refuse("bug: Cut returned " + front.String() + " for " + strconv.Itoa(len(rest)) + " bytes")
			return
		}
	}
}

// refuse ends the connection because of the rest, which is behind all packets of the call.
func (f *frames) refuse(reason string) {
	f.events.packet = uint32(len(f.ends))
	f.events.addText(eventHead{kind: kindFatal}, reason)
}
