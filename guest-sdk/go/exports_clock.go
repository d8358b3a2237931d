//go:build wasip1 && wireplug_clock

package wireplug

import "unsafe"

type sessionOfClock interface{ Clock }

//go:wasmexport wireplug:codec/clock@0.2.0#tick
func exportTick(session uint32, sessionMs, unixMs uint64) unsafe.Pointer {
	defer done()
	return eventsOf(func(events *Events) {
		sessionAt(session).session.(Clock).Tick(Instant{sessionMs, unixMs}, events)
	})
}
