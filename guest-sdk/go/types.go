package wireplug

// Instant is the time of a call.
type Instant struct {
	// SessionMs is the number of milliseconds since the session opened. It never goes back. It stands
	// still while the runtime holds back reading from the client.
	SessionMs uint64
	// UnixMs is the wall-clock time in milliseconds since 1970-01-01 UTC, for protocols that send it.
	// It may jump.
	UnixMs uint64
}

// Role is the kind of a message, in both directions.
type Role uint8

const (
	// Notice expects no answer: a notification from the client, a push to the client.
	Notice Role = iota
	// Request expects exactly one response with the same id.
	Request
	// Response answers the request with the same id.
	Response
)

// Message is a message from the application to the client. Its body is valid until Encode returns.
type Message struct {
	// Role says what the message is. Requests come only if ClientRequests is above 0.
	Role Role
	// ID ties a response to its request. 0 in a notice.
	ID uint64
	// Route is the route of the push or the request; in a response, the route of the client's request.
	Route string
	// Body is the payload as the application wrote it. It is JSON if the description says JSON.
	Body []byte
	// Status is the outcome of a request, as in HTTP: 200 unless it failed; 100 to 599. The runtime's
	// own answers, such as 404 for an unknown route, have an empty body. 200 in a notice and in a
	// request.
	Status uint16
}

// Carrier says how packets travel.
type Carrier uint8

const (
	// CarrierBytes is a stream of bytes: TCP, TLS, Unix sockets, pipes, a QUIC stream.
	CarrierBytes Carrier = iota
	// CarrierMessages is for messages of any length, in order: WebSocket, Socket.IO, shared memory.
	CarrierMessages
	// CarrierDatagrams is for datagrams: UDP, QUIC datagrams. They may be lost or reordered.
	CarrierDatagrams
)

// The first byte of each packet on the carrier of messages if the payload is [PayloadTagged].
const (
	TagText   = 1
	TagBinary = 2
)

// Peer is the connection as the runtime sees it.
type Peer struct {
	Carrier Carrier
	// Transport is the scheme of the listener, such as tcp or wss.
	Transport string
	// Address is ip:port or [v6]:port. It is empty if the transport has none.
	Address string
	// Dialed says that the runtime opened the connection: the codec plays the client.
	Dialed bool
	// MaxPacket is the largest packet of this listener, in bytes.
	MaxPacket int
	// RandomSeed has 32 random bytes, new at every Open and Restore: the only source of randomness.
	RandomSeed [32]byte
	// Attributes is what else the transport knows.
	Attributes Attributes
}

// Attributes are names and values that the transport or TLS knows, such as path and tls-sni. Only
// those that apply are present. The contract, codec.wit, lists them.
type Attributes map[string]string

// Cause is why the runtime ends a connection.
type Cause uint8

const (
	// Kicked: the application threw the client out.
	Kicked Cause = iota
	// Displaced: the user has a newer session.
	Displaced
	// Replaced: the codec was swapped and this session did not move.
	Replaced
	// Shutdown: the server stops or drains.
	Shutdown
)

// Level is the level of a line in the log.
type Level uint8

const (
	LevelDebug Level = iota
	LevelInfo
	LevelWarn
	LevelError
)
