// A codec whose packets say what it does.
package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	mathrand "math/rand/v2"
	"os"
	"strconv"
	"time"

	"wireplug"
)

func init() { wireplug.Register(codec{}) }

func main() {}

type codec struct{}

func (codec) Describe() wireplug.Description {
	return wireplug.Description{
		Name: "evaluates", Version: "0.1.0", Framing: wireplug.Delimiter("\n"), Messages: wireplug.MessagesOne,
	}
}

func (codec) Configure(options []byte) error { return wireplug.NoOptions(options) }

func (codec) Open(*wireplug.Peer, wireplug.Instant) (*session, error) { return &session{}, nil }

type session struct{ numbers map[string]int }

func (s *session) Encode(*wireplug.Message, wireplug.Instant, *wireplug.Packets) error { return nil }

func (s *session) Decode(packet []byte, _ wireplug.Instant, events *wireplug.Events) error {
	switch string(packet) {
	// Events and errors.
	case "reject":
		events.Notice("dropped", nil)
		return errors.New("not this")
	case "fatal":
		return fmt.Errorf("wrapped: %w", wireplug.Fatal("no more"))
	case "bye":
		events.CloseWith(3000, "said so")
		events.Reply(packet)
	// Panics.
	case "index":
		events.Reply(packet[len(packet)+len(s.numbers)+1:])
	case "nil":
		s = nil
		s.numbers["nil"] = 1
	case "map":
		s.numbers["map"] = 1
	case "text":
		panic("boom at " + strconv.Itoa(len(packet)))
	case "error":
		panic(errors.New("an error"))
	case "goroutine":
		wait := make(chan int)
		go func() { panic("somewhere else") }()
		<-wait
	case "recover":
		defer func() { events.Notice("recovered", fmt.Append(nil, recover())) }()
		s.numbers["recover"] = 1
	// What needs a system.
	case "sleep":
		time.Sleep(time.Second)
	case "wait":
		<-make(chan int)
	case "exit":
		os.Exit(3)
	case "secret":
		rand.Read(packet)
	case "chance":
		return fmt.Errorf("%d, not %d", mathrand.Uint32(), mathrand.Uint32())
	case "now":
		return errors.New(time.Now().UTC().Format(time.DateOnly))
	case "file":
		_, err := os.ReadFile("/etc/passwd")
		return err
	case "print":
		fmt.Println("to standard output")
		println("to standard error")
		events.Notice("printed", nil)
	case "share":
		result := make(chan string)
		go func() { result <- "a goroutine answers" }()
		return errors.New(<-result)
	default:
		events.Notice("other", packet)
	}
	return nil
}
