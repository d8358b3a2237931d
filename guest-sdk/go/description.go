package wireplug

// Description is what the runtime must know about a codec.
type Description struct {
	// Name has 1 to 64 bytes.
	Name string
	// Version is the version of the codec. It has at most 64 bytes.
	Version string
	// Framing says how the runtime cuts packets from a stream. Nil if the session is a [Framer], or
	// if the codec takes no streams.
	Framing Framing
	// Messages says what one message or datagram holds.
	Messages MessageFraming
	// Payload says whether packets are text or binary.
	Payload Payload
	// JSON says that bodies are JSON, so that typed handlers can read and write them.
	JSON bool
	// Handshake says that no message comes before the event established, and no push goes out before
	// it.
	Handshake bool
	// ClientRequests says how many requests of the application the client may have to answer at a
	// time. The runtime holds back the others. 0: the protocol has none.
	ClientRequests uint16
	// MaxPacket is the largest packet that the protocol allows, in bytes. 0: the listener decides.
	MaxPacket uint32
}

// Framing is a [Delimiter], a [LengthField] or a [Varint].
type Framing interface{ isFraming() }

// Delimiter is the framing of packets that end with these 1 to 16 bytes, which are not part of them.
type Delimiter string

// LengthField is the framing of packets with a binary length of fixed width. A packet is the bytes
// before the field and the bytes after it; the runtime removes the field and inserts it.
type LengthField struct {
	// Offset is the number of bytes before the field.
	Offset uint8
	// Width is the width of the field, 1 to 4 bytes.
	Width        uint8
	LittleEndian bool
	// Adjust is added to the value of the field to get the number of bytes that follow it.
	Adjust int32
}

// Varint is the framing of packets with a LEB128 length of at most 4 bytes after this many bytes,
// which belong to the packet.
type Varint uint8

func (Delimiter) isFraming()   {}
func (LengthField) isFraming() {}
func (Varint) isFraming()      {}

// MessageFraming says what one message or datagram holds.
type MessageFraming uint8

const (
	// MessagesNone: such transports are refused.
	MessagesNone MessageFraming = iota
	// MessagesOne: one bare packet.
	MessagesOne
	// MessagesFramed: one or more whole packets, each framed as on a stream.
	MessagesFramed
	// MessagesContinuous: a piece of a stream; packets may run across messages. Not for datagrams.
	MessagesContinuous
)

// Payload says whether packets are text or binary, on transports that tell them apart.
type Payload uint8

const (
	// PayloadBinary: all packets are binary.
	PayloadBinary Payload = iota
	// PayloadText: all packets are valid UTF-8.
	PayloadText
	// PayloadTagged: on the carrier of messages, every packet begins with [TagText] or [TagBinary].
	// Only with MessagesOne.
	PayloadTagged
)
