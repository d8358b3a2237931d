//go:build wasip1 && wireplug_handshake

package wireplug

import "unsafe"

type sessionOfHandshake interface{ Handshake }

//go:wasmexport wireplug:codec/handshake@0.2.0#answer
func exportAnswer(session, status uint32, body unsafe.Pointer, length uint32, sessionMs, unixMs uint64) unsafe.Pointer {
	defer done()
	return eventsOf(func(events *Events) {
		of := sessionAt(session).session.(Handshake)
		of.Answer(uint16(status), bytesAt(body, length), Instant{sessionMs, unixMs}, events)
	})
}
