//go:build wasip1 && wireplug_codec

package wireplug

import "unsafe"

// opened is an open session.
type opened struct {
	session Session
	framer  Framer
}

// sessions has the open sessions of the instance: one, in practice. The number of a session is its
// index plus one.
var sessions []*opened

// resourceNew returns the handle of a session.
//
//go:wasmimport [export]wireplug:codec/codec@0.2.0 [resource-new]session
func resourceNew(session uint32) uint32

func sessionAt(number uint32) *opened { return sessions[number-1] }

// sessionResult returns the handle of a new session.
func sessionResult(session Session, err error) unsafe.Pointer {
	if err != nil {
		return errorResult(err)
	}
	framer, _ := session.(Framer)
	sessions = append(sessions, &opened{session, framer})
	return words(0, resourceNew(uint32(len(sessions))))
}

//go:wasmexport wireplug:codec/codec@0.2.0#[dtor]session
func exportDrop(session uint32) {
	defer done()
	sessions[session-1] = nil
}

// registeredCodec returns the codec.
func registeredCodec() component {
	if registered == nil {
		panic("codec.go does not call wireplug.Register in a function init")
	}
	return registered
}

// description is a description of the contract.
type description struct {
	name, version list
	hasFraming    uint32
	framing       uint32
	parts         [2]uint32
	messages      MessageFraming
	payload       Payload
	json          bool
	handshake     bool
	requests      uint16
	coalesces     bool
	hasMax        uint32
	max           uint32
}

// described keeps what describe returned.
var described struct {
	description
	texts [3][]byte
}

//go:wasmexport wireplug:codec/codec@0.2.0#describe
func exportDescribe() unsafe.Pointer {
	defer done()
	of := registeredCodec().describe()
	described.texts = [3][]byte{[]byte(of.Name), []byte(of.Version), nil}
	described.description = description{
		messages: of.Messages, payload: of.Payload, json: of.JSON, handshake: of.Handshake,
		requests: of.ClientRequests, max: of.MaxPacket,
	}
	if of.MaxPacket != 0 {
		described.hasMax = 1
	}
	if of.Framing != nil {
		described.hasFraming = 1
	}
	switch framing := of.Framing.(type) {
	case Delimiter:
		described.texts[2] = []byte(framing)
		delimiter := listOf(described.texts[2])
		described.parts = [2]uint32{delimiter.at, delimiter.length}
	case LengthField:
		described.framing = 1
		described.parts = [2]uint32{uint32(framing.Offset) | uint32(framing.Width)<<8, uint32(framing.Adjust)}
		if framing.LittleEndian {
			described.parts[0] |= 1 << 16
		}
	case Varint:
		described.framing = 2
		described.parts[0] = uint32(framing)
	}
	described.name, described.version = listOf(described.texts[0]), listOf(described.texts[1])
	return unsafe.Pointer(&described.description)
}

//go:wasmexport wireplug:codec/codec@0.2.0#configure
func exportConfigure(options unsafe.Pointer, length uint32) unsafe.Pointer {
	defer done()
	if err := registeredCodec().configure(bytesAt(options, length)); err != nil {
		return errorResult(err)
	}
	prepareHeap()
	return words(0)
}

// peerOf returns the peer of a session.
func peerOf(
	carrier uint32, transport unsafe.Pointer, transportLength uint32, address unsafe.Pointer,
	addressLength, dialed, maxPacket uint32, seed unsafe.Pointer, seedLength uint32,
	attributes unsafe.Pointer, attributesLength uint32,
) *Peer {
	peer := &Peer{
		Carrier:    Carrier(carrier),
		Transport:  textAt(transport, transportLength),
		Address:    textAt(address, addressLength),
		Dialed:     dialed != 0,
		MaxPacket:  int(maxPacket),
		Attributes: attributesAt(attributes, attributesLength),
	}
	copy(peer.RandomSeed[:], bytesAt(seed, seedLength))
	return peer
}

//go:wasmexport wireplug:codec/codec@0.2.0#[static]session.open
func exportOpen(
	carrier uint32, transport unsafe.Pointer, transportLength uint32, address unsafe.Pointer,
	addressLength, dialed, maxPacket uint32, seed unsafe.Pointer, seedLength uint32,
	attributes unsafe.Pointer, attributesLength uint32, sessionMs, unixMs uint64,
) unsafe.Pointer {
	defer done()
	peer := peerOf(
		carrier, transport, transportLength, address, addressLength, dialed, maxPacket, seed, seedLength,
		attributes, attributesLength,
	)
	return sessionResult(registeredCodec().open(peer, Instant{sessionMs, unixMs}))
}

//go:wasmexport wireplug:codec/codec@0.2.0#[method]session.decode
func exportDecode(session uint32, packet unsafe.Pointer, length uint32, sessionMs, unixMs uint64) unsafe.Pointer {
	defer done()
	result.events.reset()
	err := sessionAt(session).session.Decode(
		bytesAt(packet, length), Instant{sessionMs, unixMs}, &result.events,
	)
	if err != nil {
		return faultResult(err)
	}
	events := listResult()
	return words(0, events.at, events.length)
}

// message is the message of a call, so that a call allocates none.
var message Message

// setRoute sets the route of the message. Most messages have the route of the message before them,
// and then it is not copied again.
func setRoute(route []byte) {
	if message.Route != string(route) {
		message.Route = string(route)
	}
}

// messageOf returns a message of the application.
func messageOf(
	role uint32, id uint64, route unsafe.Pointer, routeLength uint32, body unsafe.Pointer,
	bodyLength, status uint32,
) *Message {
	setRoute(bytesAt(route, routeLength))
	message.Role, message.ID, message.Status = Role(role), id, uint16(status)
	message.Body = bytesAt(body, bodyLength)
	return &message
}

//go:wasmexport wireplug:codec/codec@0.2.0#[method]session.encode
func exportEncode(
	session, role uint32, id uint64, route unsafe.Pointer, routeLength uint32, body unsafe.Pointer,
	bodyLength, status uint32, sessionMs, unixMs uint64,
) unsafe.Pointer {
	defer done()
	message := messageOf(role, id, route, routeLength, body, bodyLength, status)
	result.packets.reset()
	err := result.packets.encode(sessionAt(session).session, message, Instant{sessionMs, unixMs})
	return packetsResult(err, faultResult)
}
