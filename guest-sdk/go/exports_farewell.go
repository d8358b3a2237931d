//go:build wasip1 && wireplug_farewell

package wireplug

import "unsafe"

type sessionOfFarewell interface{ Farewell }

//go:wasmexport wireplug:codec/farewell@0.2.0#farewell
func exportFarewell(
	session, cause uint32, reason unsafe.Pointer, length uint32, sessionMs, unixMs uint64,
) unsafe.Pointer {
	defer done()
	return eventsOf(func(events *Events) {
		of := sessionAt(session).session.(Farewell)
		of.Farewell(Cause(cause), textAt(reason, length), Instant{sessionMs, unixMs}, events)
	})
}
