//go:build wasip1 && wireplug_broadcast

package wireplug

import "unsafe"

type sessionOfBroadcast interface{ Broadcast }

type codecOfBroadcast interface{ SharedEncoder }

//go:wasmexport wireplug:codec/broadcast@0.2.0#broadcast-class
func exportBroadcastClass(session uint32) unsafe.Pointer {
	defer done()
	class, shares := sessionAt(session).session.(Broadcast).BroadcastClass()
	if !shares {
		return words(0)
	}
	return words(1, class)
}

//go:wasmexport wireplug:codec/broadcast@0.2.0#encode-shared
func exportEncodeShared(
	class, role uint32, id uint64, route unsafe.Pointer, routeLength uint32, body unsafe.Pointer,
	bodyLength, status uint32,
) unsafe.Pointer {
	defer done()
	message := messageOf(role, id, route, routeLength, body, bodyLength, status)
	result.packets.reset()
	err := registeredCodec().encodeShared(class, message, &result.packets)
	return packetsResult(err, errorResult)
}
