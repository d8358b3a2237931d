//go:build wasip1 && wireplug_handoff

package wireplug

import "unsafe"

type sessionOfHandoff interface{ Handoff }

type codecOfHandoff[S Session] interface{ Restorer[S] }

//go:wasmexport wireplug:codec/handoff@0.2.0#save
func exportSave(session uint32) unsafe.Pointer {
	defer done()
	state, err := sessionAt(session).session.(Handoff).Save()
	if err != nil {
		return errorResult(err)
	}
	result.text = state
	saved := listOf(state)
	return words(0, saved.at, saved.length)
}

//go:wasmexport wireplug:codec/handoff@0.2.0#restore
func exportRestore(
	carrier uint32, transport unsafe.Pointer, transportLength uint32, address unsafe.Pointer,
	addressLength, dialed, maxPacket uint32, seed unsafe.Pointer, seedLength uint32,
	attributes unsafe.Pointer, attributesLength uint32, state unsafe.Pointer, stateLength uint32,
	sessionMs, unixMs uint64,
) unsafe.Pointer {
	defer done()
	peer := peerOf(
		carrier, transport, transportLength, address, addressLength, dialed, maxPacket, seed, seedLength,
		attributes, attributesLength,
	)
	return sessionResult(registeredCodec().restore(peer, bytesAt(state, stateLength), Instant{sessionMs, unixMs}))
}
