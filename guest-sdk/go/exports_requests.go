//go:build wasip1 && wireplug_requests

package wireplug

import "unsafe"

type sessionOfRequests interface{ Requests }

//go:wasmexport wireplug:codec/requests@0.2.0#abandoned
func exportAbandoned(session uint32, id, sessionMs, unixMs uint64) unsafe.Pointer {
	defer done()
	return eventsOf(func(events *Events) {
		sessionAt(session).session.(Requests).Abandoned(id, Instant{sessionMs, unixMs}, events)
	})
}
