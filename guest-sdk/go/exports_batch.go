//go:build wasip1 && wireplug_batch

package wireplug

import "unsafe"

//go:wasmexport wireplug:codec/batch@0.2.0#decode-batch
func exportDecodeBatch(
	session uint32, bytes unsafe.Pointer, length uint32, ends unsafe.Pointer, packets uint32,
	sessionMs, unixMs uint64,
) unsafe.Pointer {
	defer done()
	events := &result.events
	events.reset()
	events.decodeBatch(
		sessionAt(session).session, bytesAt(bytes, length), unsafe.Slice((*uint32)(ends), packets),
		Instant{sessionMs, unixMs},
	)
	flatBytes, heads := listOf(events.bytes), listOf(events.heads)
	return words(flatBytes.at, flatBytes.length, heads.at, heads.length)
}

// messageHead is the head of a message, with the layout of the contract.
type messageHead struct {
	role     Role
	id       uint64
	status   uint16
	routeEnd uint32
	bodyEnd  uint32
}

// encoded keeps what encode-batch returned beside the packets.
var encoded struct {
	sources []uint32
	refused []refusal
	reasons [][]byte
}

// refusal is a message that the codec refused.
type refusal struct {
	message uint32
	reason  list
}

//go:wasmexport wireplug:codec/batch@0.2.0#encode-batch
func exportEncodeBatch(
	session uint32, bytes unsafe.Pointer, length uint32, heads unsafe.Pointer, messages uint32,
	sessionMs, unixMs uint64,
) unsafe.Pointer {
	defer done()
	result.packets.reset()
	encoded.sources, encoded.refused = encoded.sources[:0], encoded.refused[:0]
	encoded.reasons = nil
	all := bytesAt(bytes, length)
	start := uint32(0)
	for i, head := range unsafe.Slice((*messageHead)(heads), messages) {
		noteAt(uint32(i))
		setRoute(all[start:head.routeEnd])
		message.Role, message.ID, message.Status = head.role, head.id, head.status
		message.Body = all[head.routeEnd:head.bodyEnd:head.bodyEnd]
		start = head.bodyEnd
		err := result.packets.encode(sessionAt(session).session, &message, Instant{sessionMs, unixMs})
		if err != nil && isFatal(err) {
			return errorResult(err)
		}
		if err != nil {
			reason := []byte(utf8Of(err.Error()))
			encoded.reasons = append(encoded.reasons, reason)
			encoded.refused = append(encoded.refused, refusal{uint32(i), listOf(reason)})
		}
		for len(encoded.sources) < len(result.packets.ends) {
			encoded.sources = append(encoded.sources, uint32(i))
		}
	}
	packets, ends := listOf(result.packets.bytes), listOf(result.packets.ends)
	sources, refused := listOf(encoded.sources), listOf(encoded.refused)
	return words(
		0, packets.at, packets.length, ends.at, ends.length, sources.at, sources.length, refused.at,
		refused.length,
	)
}
