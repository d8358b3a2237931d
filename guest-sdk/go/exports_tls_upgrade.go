//go:build wasip1 && wireplug_tls_upgrade

package wireplug

import "unsafe"

type sessionOfTLSUpgrade interface{ TLSUpgrade }

//go:wasmexport wireplug:codec/tls-upgrade@0.2.0#secured
func exportSecured(session uint32, attributes unsafe.Pointer, length uint32, sessionMs, unixMs uint64) unsafe.Pointer {
	defer done()
	return eventsOf(func(events *Events) {
		of := sessionAt(session).session.(TLSUpgrade)
		of.Secured(attributesAt(attributes, length), Instant{sessionMs, unixMs}, events)
	})
}
