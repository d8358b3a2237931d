// Requests of the client: from the PDU to the JSON for the application.

package main

import (
	"encoding/binary"
	"strconv"
)

// read appends the body for the application, or returns the exception with which the codec answers.
func (f function) read(to []byte, from frame) (body []byte, wrong exception) {
	if f.route == "" {
		return to, illegalFunction
	}
	// An unknown length is above that of the PDU.
	if length, _ := f.length(from.pdu); length != len(from.pdu) {
		return to, illegalValue
	}
	to = strconv.AppendUint(append(to, `{"unit":`...), uint64(from.unit), 10)
	to, wrong = f.request(append(to, ','), from.pdu)
	return append(to, '}'), wrong
}

// readRequest reads "function, address, count".
func readRequest(max uint16) func(to, pdu []byte) ([]byte, exception) {
	return func(to, pdu []byte) ([]byte, exception) {
		first, count := word(pdu, 1), word(pdu, 3)
		return appendCount(appendAddress(to, first), count), checkRange(first, count, max)
	}
}

// coilRequest reads "function, address, 0xff00 or 0".
func coilRequest(to, pdu []byte) ([]byte, exception) {
	to = appendAddress(to, word(pdu, 1))
	switch word(pdu, 3) {
	case 0xff00:
		return append(to, `,"values":[true]`...), none
	case 0:
		return append(to, `,"values":[false]`...), none
	}
	return to, illegalValue
}

// registerRequest reads "function, address, value".
func registerRequest(to, pdu []byte) ([]byte, exception) {
	return appendRegisters(appendAddress(to, word(pdu, 1)), pdu[3:]), none
}

// coilsRequest reads "function, address, count, number of bytes, bits".
func coilsRequest(to, pdu []byte) ([]byte, exception) {
	first, count, packed := word(pdu, 1), word(pdu, 3), pdu[6:]
	if len(packed) != bytesOfBits(count) {
		return to, illegalValue
	}
	return appendBits(appendAddress(to, first), packed, count), checkRange(first, count, maxWriteBits)
}

// registersRequest reads "function, address, count, number of bytes, values".
func registersRequest(to, pdu []byte) ([]byte, exception) {
	first, count, values := word(pdu, 1), word(pdu, 3), pdu[6:]
	if len(values) != 2*int(count) {
		return to, illegalValue
	}
	return appendRegisters(appendAddress(to, first), values), checkRange(first, count, maxWriteRegisters)
}

// maskRequest reads "function, address, and-mask, or-mask".
func maskRequest(to, pdu []byte) ([]byte, exception) {
	to = append(appendAddress(to, word(pdu, 1)), `,"and":`...)
	to = append(appendWord(to, word(pdu, 3)), `,"or":`...)
	return appendWord(to, word(pdu, 5)), none
}

// readWriteRequest reads "function, address and count to read, address and count to write, number
// of bytes, values".
func readWriteRequest(to, pdu []byte) ([]byte, exception) {
	read, readCount := word(pdu, 1), word(pdu, 3)
	write, writeCount, values := word(pdu, 5), word(pdu, 7), pdu[10:]
	if len(values) != 2*int(writeCount) {
		return to, illegalValue
	}
	to = appendCount(appendAddress(append(to, `"read":{`...), read), readCount)
	to = appendAddress(append(to, `},"write":{`...), write)
	to = append(appendRegisters(to, values), '}')
	// The greater number is the one that the specification checks first: a count before an address.
	return to, max(
		checkRange(read, readCount, maxReadRegisters),
		checkRange(write, writeCount, maxReadWriteRegisters),
	)
}

// checkRange checks a number of coils or registers from an address on.
func checkRange(first, count, max uint16) exception {
	switch {
	case count == 0 || count > max:
		return illegalValue
	case int(first)+int(count) > 1<<16:
		return illegalAddress
	}
	return none
}

func word(pdu []byte, at int) uint16 { return binary.BigEndian.Uint16(pdu[at:]) }

func bytesOfBits(count uint16) int { return (int(count) + 7) / 8 }

func appendWord(to []byte, value uint16) []byte { return strconv.AppendUint(to, uint64(value), 10) }

func appendAddress(to []byte, address uint16) []byte {
	return appendWord(append(to, `"address":`...), address)
}

func appendCount(to []byte, count uint16) []byte {
	return appendWord(append(to, `,"count":`...), count)
}

// appendBits appends coils. The first one is the lowest bit of the first byte.
func appendBits(to, packed []byte, count uint16) []byte {
	to = append(to, `,"values":[`...)
	for at := range int(count) {
		if at > 0 {
			to = append(to, ',')
		}
		to = strconv.AppendBool(to, packed[at/8]>>(at%8)&1 == 1)
	}
	return append(to, ']')
}

func appendRegisters(to, values []byte) []byte {
	to = append(to, `,"values":[`...)
	for at := 0; at < len(values); at += 2 {
		if at > 0 {
			to = append(to, ',')
		}
		to = appendWord(to, word(values, at))
	}
	return append(to, ']')
}
