// The table of the functions: their routes, and how long their requests are.

package main

// function is a function code of the specification.
type function struct {
	// route is empty if the codec knows only the length. Such a request is an illegal function.
	route string
	// head is the number of bytes of the PDU before the data that the last of these bytes counts.
	// If there is no such data, it is the whole PDU.
	head    int
	hasData bool
	isWrite bool
	// request appends the members of the body for the application, behind the unit.
	request func(to, pdu []byte) (members []byte, wrong exception)
	// response appends the PDU with which the application's body answers a request that began so.
	response func(to, head, body []byte) (pdu []byte, err error)
}

// The limits are those of the specification. They let each request and each answer fit into a PDU.
const (
	maxReadBits       = 2000
	maxReadRegisters  = 125
	maxWriteBits      = 1968
	maxWriteRegisters = 123
	// A request that also reads has less room for what it writes.
	maxReadWriteRegisters = 121
)

var functions = map[byte]function{
	1: reads("modbus.read-coils", maxReadBits, bits),
	2: reads("modbus.read-discrete-inputs", maxReadBits, bits),
	3: reads("modbus.read-holding-registers", maxReadRegisters, registers),
	4: reads("modbus.read-input-registers", maxReadRegisters, registers),
	5: {
		route: "modbus.write-single-coil", head: 5, isWrite: true,
		request: coilRequest, response: repeated(5),
	},
	6: {
		route: "modbus.write-single-register", head: 5, isWrite: true,
		request: registerRequest, response: repeated(5),
	},
	// Read Exception Status.
	7: {head: 1},
	// Diagnostics. Each sub-function has two bytes of data.
	8: {head: 5},
	// Get Comm Event Counter, Get Comm Event Log.
	11: {head: 1},
	12: {head: 1},
	15: {
		route: "modbus.write-multiple-coils", head: 6, hasData: true, isWrite: true,
		request: coilsRequest, response: repeated(5),
	},
	16: {
		route: "modbus.write-multiple-registers", head: 6, hasData: true, isWrite: true,
		request: registersRequest, response: repeated(5),
	},
	// Report Server ID.
	17: {head: 1},
	// Read File Record, Write File Record.
	20: {head: 2, hasData: true},
	21: {head: 2, hasData: true},
	22: {
		route: "modbus.mask-write-register", head: 7, isWrite: true,
		request: maskRequest, response: repeated(7),
	},
	23: {
		route: "modbus.read-write-multiple-registers", head: 10, hasData: true,
		request: readWriteRequest, response: registers,
	},
	// Read FIFO Queue.
	24: {head: 3},
	// Read Device Identification. The other use of this function, CANopen, is not for a serial
	// line.
	43: {head: 4},
}

func reads(route string, max uint16, response func(to, head, body []byte) ([]byte, error)) function {
	return function{route: route, head: 5, request: readRequest(max), response: response}
}

// length returns the length of a PDU that begins so. If the byte that counts the data is not there
// yet, it returns how many bytes tell the length, and false.
func (f function) length(pdu []byte) (length int, isKnown bool) {
	switch {
	case !f.hasData:
		return f.head, true
	case len(pdu) < f.head:
		return f.head, false
	}
	return f.head + int(pdu[f.head-1]), true
}
