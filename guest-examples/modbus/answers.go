// Answers to the client: from a status and JSON of the application to the PDU.

package main

import (
	"encoding/binary"

	"wireplug"
)

// exception is an exception code.
type exception byte

const (
	none            exception = 0
	illegalFunction exception = 1
	illegalAddress  exception = 2
	illegalValue    exception = 3
	deviceFailure   exception = 4
	busy            exception = 6
	noPath          exception = 10
	noUnit          exception = 11
)

// exceptionBit marks the function code of an exception.
const exceptionBit = 0x80

// exceptionOf returns the exception for an answer that is not of status 200. The body may name it.
func exceptionOf(status uint16, body []byte) exception {
	if named := readException(body); named != none {
		return named
	}
	switch status {
	case 404, 501:
		// The runtime answers 404 if no handler has the route.
		return illegalFunction
	case 416:
		return illegalAddress
	case 400, 422:
		return illegalValue
	case 429, 503:
		return busy
	case 502:
		return noPath
	case 504:
		return noUnit
	}
	return deviceFailure
}

// appendTo appends the PDU of this exception.
func (e exception) appendTo(to []byte, function byte) []byte {
	return append(to, function|exceptionBit, byte(e))
}

// maxHead is how many bytes of a request an answer may need: Mask Write Register repeats them.
const maxHead = 7

// request is a request that waits for the application.
type request struct {
	id          uint64
	transaction uint16
	unit        byte
	// head is how the PDU begins. Behind a shorter PDU it has zeros.
	head [maxHead]byte
}

func opened(id uint64, from frame) request {
	open := request{id: id, transaction: from.transaction, unit: from.unit}
	copy(open.head[:], from.pdu)
	return open
}

// answer appends the PDU of an answer.
func (r *request) answer(to []byte, status uint16, body []byte) ([]byte, error) {
	code := r.head[0]
	if status != 200 {
		return exceptionOf(status, body).appendTo(to, code), nil
	}
	return functions[code].response(to, r.head[:], body)
}

// repeated answers a write: the answer repeats the beginning of the request.
func repeated(length int) func(to, head, body []byte) ([]byte, error) {
	return func(to, head, _ []byte) ([]byte, error) { return append(to, head[:length]...), nil }
}

var (
	errBits      = wireplug.Reject("the answer is not {\"values\":[…]} with true or false for each coil")
	errRegisters = wireplug.Reject("the answer is not {\"values\":[…]} with 0 to 65535 for each register")
)

// bits answers with "function, number of bytes, bits".
func bits(to, head, body []byte) ([]byte, error) {
	count := word(head, 3)
	size := bytesOfBits(count)
	to = append(to, head[0], byte(size))
	packed := len(to)
	to = append(to, make([]byte, size)...)
	if !readValues(body, int(count), (*scanner).boolean, func(at int, isOn bool) {
		if isOn {
			to[packed+at/8] |= 1 << (at % 8)
		}
	}) {
		return to, errBits
	}
	return to, nil
}

// registers answers with "function, number of bytes, values".
func registers(to, head, body []byte) ([]byte, error) {
	count := word(head, 3)
	to = append(to, head[0], byte(2*count))
	if !readValues(body, int(count), (*scanner).register, func(_ int, value uint16) {
		to = binary.BigEndian.AppendUint16(to, value)
	}) {
		return to, errRegisters
	}
	return to, nil
}
