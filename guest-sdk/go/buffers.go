package wireplug

import "unsafe"

// keptBuffer is the largest buffer that stays between calls, in bytes. A larger one would occupy the
// memory of the sandbox until the next large call.
const keptBuffer = 64 << 10

// emptied returns an empty buffer, with the same memory unless it is large.
func emptied(buffer []byte) []byte {
	if cap(buffer) > keptBuffer {
		return nil
	}
	return buffer[:0]
}

// joined returns a buffer with a tail behind it. The tail was appended to the empty slice at the end
// of the buffer. It lies there already if there was room.
func joined(buffer, tail []byte) []byte {
	end := len(buffer)
	if len(tail) <= cap(buffer)-end && unsafe.SliceData(tail) == unsafe.SliceData(buffer[end:cap(buffer)]) {
		return buffer[:end+len(tail)]
	}
	return append(buffer, tail...)
}
