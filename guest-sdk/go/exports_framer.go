//go:build wasip1 && wireplug_framer

package wireplug

import "unsafe"

type sessionOfFramer interface{ Framer }

// stream keeps what decode-stream returned.
var stream frames

//go:wasmexport wireplug:codec/framer@0.2.0#decode-stream
func exportDecodeStream(session uint32, bytes unsafe.Pointer, length uint32, sessionMs, unixMs uint64) unsafe.Pointer {
	defer done()
	of := sessionAt(session)
	stream.reset()
	stream.decodeStream(of.session, of.framer, bytesAt(bytes, length), Instant{sessionMs, unixMs})
	ends := listOf(stream.ends)
	flatBytes, heads := listOf(stream.events.bytes), listOf(stream.events.heads)
	return words(
		ends.at, ends.length, flatBytes.at, flatBytes.length, heads.at, heads.length,
		uint32(stream.next), stream.need,
	)
}
