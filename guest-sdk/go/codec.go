// Package wireplug is the SDK for codecs of wireplug in Go.
//
// A codec turns the packets of one wire protocol into events, and messages into packets. It
// implements [Codec], and [Session] for the state of one connection, and registers itself:
//
//	func init() { wireplug.Register(&codec{}) }
//
//	func main() {}
//
// Each other interface, such as [Clock], adds one ability. The session implements it, and
// wit/world.wit names the interface of the contract. The compiler refuses a codec that lacks what
// its world exports.
//
// A codec is a pure state machine: everything it knows comes in as an argument. A panic ends the
// sandbox and its connection, so no input of a client may lead to a panic.
package wireplug

import "wireplug/cut"

// Codec is a wire protocol with its options.
type Codec[S Session] interface {
	// Describe describes the codec. It must not depend on anything.
	Describe() Description

	// Configure takes the options, a JSON object. It is called once, before any session opens. The
	// memory that it leaves is shared by all sessions, so what it computes costs nothing when a
	// session opens.
	//
	// An error is shown to the person who wrote the options. An unknown option should be an error.
	// [NoOptions] is for a codec without options, and the package options reads them.
	Configure(options []byte) error

	// Open opens the session of a new connection. An error refuses the client.
	Open(peer *Peer, now Instant) (S, error)
}

// Session is the protocol state of one connection.
//
// Packets and bodies belong to the runtime: they are valid until the method returns. Copy what the
// session keeps; string(packet) is a copy.
type Session interface {
	// Decode says what one packet means: any number of events, in order. The packet is whole, and no
	// longer than the listener allows.
	//
	// An error drops the packet and the events that it has added. An error of [Fatal] also ends the
	// connection.
	Decode(packet []byte, now Instant, events *Events) error

	// Encode writes the packets for a message: usually one, or none if the message has no form in
	// this protocol. The runtime adds the framing, except where the session is a [Framer].
	//
	// An error drops the message and the packets that were written for it. An error of [Fatal] also
	// ends the connection. The runtime asks once more for a response that was rejected, with status
	// 500 and an empty body. A request to the client that is rejected fails at once.
	Encode(message *Message, now Instant, packets *Packets) error
}

// Framer cuts packets from a stream, for framings that a [Framing] cannot express. For the interface
// framer. The description then has no framing. Decode gets each packet with its framing, and the
// packets and replies that the session writes are complete.
type Framer interface {
	// Cut says what stands at the front of the rest of the stream, which begins at the start of a
	// packet and may be empty. The package cut has functions for the usual kinds of packets.
	//
	// The answer may depend on the state of the session, because each packet is decoded before the
	// next one is cut. It may not depend on how the stream was divided into reads. Cut may remember
	// how many bytes it has searched, if that does not change its answers.
	//
	// Every error ends the connection, because nobody knows where the next packet begins.
	Cut(rest []byte) (cut.Cut, error)
}

// TLSUpgrade learns that TLS has begun in the middle of the stream. For the interface tls-upgrade,
// and a [Framer] that returns [cut.StartTLS].
type TLSUpgrade interface {
	// Secured takes the attributes that TLS added to the peer: tls-sni, tls-alpn, tls-client-subject
	// and tls-client-sha256, those that apply. The session gets no call between [cut.StartTLS] and this
	// one.
	Secured(attributes Attributes, now Instant, events *Events)
}

// Handshake lets the application decide about a client that introduces itself. For the interface
// handshake.
type Handshake interface {
	// Answer takes the application's answer to [Events.Hello]: 200, or the status with which the
	// application refuses the client, and a body for the client. The body may be empty.
	Answer(status uint16, body []byte, now Instant, events *Events)
}

// Requests learns that a request to the client needs no response any more. For the interface
// requests, and a codec whose ClientRequests is above 0.
type Requests interface {
	// Abandoned is called when the request with this id has timed out or its sender is gone. The
	// runtime drops a response that still comes.
	Abandoned(id uint64, now Instant, events *Events)
}

// Clock is for heartbeats and time-outs. For the interface clock.
type Clock interface {
	// Tick is called once right after the session opened, so that a server may speak first, and each
	// time the timer of [Events.Timer] fires. It is not called after Restore.
	Tick(now Instant, events *Events)
}

// Farewell is for last packets when the runtime ends the connection. For the interface farewell.
type Farewell interface {
	// Farewell adds the last events of the session: only [Events.Reply], [Events.Log] and
	// [Events.Close]. The connection closes behind them.
	Farewell(cause Cause, reason string, now Instant, events *Events)
}

// Broadcast gives sessions that share encodings the same class. For the interface broadcast, with
// [SharedEncoder].
type Broadcast interface {
	// BroadcastClass returns the class of the session. Sessions of one class get the same bytes for
	// the same push. False: this session never shares. It is asked when the session is established
	// and after it was restored; the answer may not change between.
	BroadcastClass() (class uint32, shares bool)
}

// SharedEncoder is a codec that encodes a push once for all sessions of a class. For the interface
// broadcast, with [Broadcast].
type SharedEncoder interface {
	// EncodeShared writes the packets for a push to every session of a class, exactly as Encode
	// writes them for each. Any error drops the push.
	EncodeShared(class uint32, message *Message, packets *Packets) error
}

// Handoff saves a live session, so that it can move to another instance. For the interface handoff,
// with [Restorer].
type Handoff interface {
	// Save returns everything that the session knows. It begins with a format number, because the
	// state may be restored by another version. It does not change the session. An error: this
	// session cannot move.
	Save() ([]byte, error)
}

// Restorer is a codec that restores the sessions that [Handoff] saved. For the interface handoff.
type Restorer[S Session] interface {
	// Restore returns the session that was saved. The state may come from an older or a newer
	// version. An error refuses the state: the session then stays where it was, or ends if it slept.
	Restore(peer *Peer, state []byte, now Instant) (S, error)
}

// Register makes this codec the codec of the component. Call it once, in a function init.
func Register[C codecOfWorld[S], S sessionOfWorld](codec C) {
	if registered != nil {
		panic("wireplug.Register was called twice")
	}
	registered = adapter[C, S]{codec}
}

// codecOfWorld is what the codec of the project's world implements: the files exports_*.go and
// lacks_*.go define the parts.
type codecOfWorld[S Session] interface {
	Codec[S]
	codecOfBroadcast
	codecOfHandoff[S]
}

// sessionOfWorld is what the sessions of the project's world implement.
type sessionOfWorld interface {
	Session
	sessionOfBroadcast
	sessionOfClock
	sessionOfFarewell
	sessionOfFramer
	sessionOfHandoff
	sessionOfHandshake
	sessionOfRequests
	sessionOfTLSUpgrade
}

// registered is the codec of the component.
var registered component

// component is a codec without the type of its sessions.
type component interface {
	describe() Description
	configure(options []byte) error
	open(peer *Peer, now Instant) (Session, error)
	restore(peer *Peer, state []byte, now Instant) (Session, error)
	encodeShared(class uint32, message *Message, packets *Packets) error
}

type adapter[C Codec[S], S Session] struct{ codec C }

func (a adapter[C, S]) describe() Description          { return a.codec.Describe() }
func (a adapter[C, S]) configure(options []byte) error { return a.codec.Configure(options) }

func (a adapter[C, S]) open(peer *Peer, now Instant) (Session, error) {
	return a.codec.Open(peer, now)
}

func (a adapter[C, S]) restore(peer *Peer, state []byte, now Instant) (Session, error) {
	return any(a.codec).(Restorer[S]).Restore(peer, state, now)
}

func (a adapter[C, S]) encodeShared(class uint32, message *Message, packets *Packets) error {
	return any(a.codec).(SharedEncoder).EncodeShared(class, message, packets)
}
