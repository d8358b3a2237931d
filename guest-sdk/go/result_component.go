//go:build wasip1

package wireplug

import "unsafe"

// result is where the exports put what they return. It stays valid until the next call, and so does
// what it points to: the runtime reads it before.
var result struct {
	words   [9]uint32
	text    []byte
	events  Events
	packets Packets
	list    []event
	lists   []list
}

// event is an event of the contract.
type event struct {
	kind  uint64
	words [10]uint32
}

// words returns the words of the result to the runtime.
func words(of ...uint32) unsafe.Pointer {
	copy(result.words[:], of)
	return unsafe.Pointer(&result.words)
}

// textResult returns where a copy of a text is.
func textResult(text string) list {
	result.text = []byte(utf8Of(text))
	return listOf(result.text)
}

// errorResult returns an error of a function whose errors are texts.
func errorResult(err error) unsafe.Pointer {
	text := textResult(err.Error())
	return words(1, text.at, text.length)
}

// faultResult returns an error of decode or encode.
func faultResult(err error) unsafe.Pointer {
	kind := uint32(0)
	if isFatal(err) {
		kind = 1
	}
	text := textResult(err.Error())
	return words(1, kind, text.at, text.length)
}

// listResult returns where the events of the result are, as a list of the contract.
func listResult() list {
	events := &result.events
	result.list = emptied(result.list)
	base := listOf(events.bytes).at
	start := uint32(0)
	for i := range events.heads {
		head := &events.heads[i]
		route := list{base + start, head.routeEnd - start}
		body := list{base + head.routeEnd, head.bodyEnd - head.routeEnd}
		start = head.bodyEnd
		event := event{kind: uint64(head.kind)}
		switch head.kind {
		case kindMessage:
			event.words = [10]uint32{
				uint32(head.role), 0, uint32(head.id), uint32(head.id >> 32), route.at, route.length,
				body.at, body.length, uint32(head.status),
			}
		case kindHello, kindReply:
			event.words = [10]uint32{body.at, body.length}
		case kindTimer:
			event.words = [10]uint32{uint32(head.id)}
		case kindLog, kindClose:
			event.words = [10]uint32{uint32(head.id), body.at, body.length}
		}
		result.list = append(result.list, event)
	}
	return listOf(result.list)
}

// eventsOf returns the events that a call adds.
func eventsOf(call func(*Events)) unsafe.Pointer {
	result.events.reset()
	call(&result.events)
	events := listResult()
	return words(events.at, events.length)
}

// packetsResult returns the packets of the result, or an error as fault writes it.
func packetsResult(err error, fault func(error) unsafe.Pointer) unsafe.Pointer {
	if err != nil {
		return fault(err)
	}
	result.lists = emptied(result.lists)
	base := listOf(result.packets.bytes).at
	start := uint32(0)
	for _, end := range result.packets.ends {
		result.lists = append(result.lists, list{base + start, end - start})
		start = end
	}
	lists := listOf(result.lists)
	return words(0, lists.at, lists.length)
}
