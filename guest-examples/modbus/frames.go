// The two framings: how each cuts, reads and writes a frame around a PDU, which is a function code
// and its data.

package main

import (
	"encoding/binary"
	"errors"
	"strconv"

	"wireplug/cut"
)

const (
	// The largest PDU. All other limits of the specification follow from it.
	maxPDU = 253

	// The MBAP header: transaction, protocol, length and unit.
	mbapSize = 7
	maxTCP   = mbapSize + maxPDU

	unitSize = 1
	crcSize  = 2
	maxRTU   = unitSize + maxPDU + crcSize

	// On a serial line, a frame to this unit is for all of them, and none of them answers.
	broadcast = 0
)

type frame struct {
	// transaction comes back in the answer. RTU has none.
	transaction uint16
	unit        byte
	pdu         []byte
}

type framing interface {
	cut(rest []byte) (cut.Cut, error)
	// read returns the frame in a packet, or that it is damaged. The PDU is part of the packet.
	read(packet []byte) (read frame, isIntact bool)
	// write appends a frame.
	write(to []byte, frame frame) []byte
	// number names the framing in a saved state.
	number() byte
}

// tcp is "MBAP header, PDU". The length in the header counts the unit and the PDU.
type tcp struct{}

func (tcp) number() byte { return 1 }

func (tcp) cut(rest []byte) (cut.Cut, error) {
	const lengthEnd = 6
	if len(rest) < lengthEnd {
		return cut.Need(lengthEnd), nil
	}
	protocol := binary.BigEndian.Uint16(rest[2:])
	length := int(binary.BigEndian.Uint16(rest[4:]))
	// Where other protocols have their length, nobody knows.
	if protocol != 0 {
		return cut.Cut{}, errors.New("the protocol is " + strconv.Itoa(int(protocol)) + ", and Modbus is 0")
	}
	if length < unitSize+1 || length > unitSize+maxPDU {
		return cut.Cut{}, errors.New("the length is " + strconv.Itoa(length) + ", and allowed is 2 to 254")
	}
	return cut.Fixed(rest, lengthEnd+length, cut.Max(maxTCP, "frame"))
}

func (tcp) read(packet []byte) (frame, bool) {
	return frame{binary.BigEndian.Uint16(packet), packet[6], packet[mbapSize:]}, true
}

func (tcp) write(to []byte, frame frame) []byte {
	to = binary.BigEndian.AppendUint16(to, frame.transaction)
	to = append(to, 0, 0)
	to = binary.BigEndian.AppendUint16(to, uint16(unitSize+len(frame.pdu)))
	return append(append(to, frame.unit), frame.pdu...)
}

// rtu is "unit, PDU, CRC". A serial line marks the end of a frame by silence. A stream cannot, so
// the function code says how long the frame is.
type rtu struct{}

func (rtu) number() byte { return 2 }

func (rtu) cut(rest []byte) (cut.Cut, error) {
	if len(rest) <= unitSize {
		return cut.Need(unitSize + 1), nil
	}
	pdu := rest[unitSize:]
	function, isKnown := functions[pdu[0]]
	if !isKnown {
		return cut.Cut{}, errors.New("the length of function " + strconv.Itoa(int(pdu[0])) + " is unknown")
	}
	length, isKnown := function.length(pdu)
	if !isKnown {
		return cut.Need(unitSize + length), nil
	}
	return cut.Fixed(rest, unitSize+length+crcSize, cut.Max(maxRTU, "frame"))
}

func (rtu) read(packet []byte) (frame, bool) {
	content, sent := packet[:len(packet)-crcSize], packet[len(packet)-crcSize:]
	return frame{unit: content[0], pdu: content[unitSize:]}, binary.LittleEndian.Uint16(sent) == crc16(content)
}

func (rtu) write(to []byte, frame frame) []byte {
	start := len(to)
	to = append(append(to, frame.unit), frame.pdu...)
	return binary.LittleEndian.AppendUint16(to, crc16(to[start:]))
}

// crc16 is CRC-16/MODBUS.
func crc16(bytes []byte) uint16 {
	crc := uint16(0xffff)
	for _, value := range bytes {
		crc = crc>>8 ^ crcTable[byte(crc)^value]
	}
	return crc
}

var crcTable = func() (table [256]uint16) {
	const polynomial = 0xa001
	for index := range table {
		crc := uint16(index)
		for range 8 {
			isOdd := crc&1 == 1
			crc >>= 1
			if isOdd {
				crc ^= polynomial
			}
		}
		table[index] = crc
	}
	return table
}()
