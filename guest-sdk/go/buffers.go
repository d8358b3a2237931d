package wireplug

import (
	"strings"
	"unsafe"
)

// keptBuffer is the largest buffer that stays between calls, in bytes. A larger one would occupy the
// memory of the sandbox until the next large call.
const keptBuffer = 64 << 10

// emptied returns an empty buffer, with the same memory unless it is large.
func emptied[T any](buffer []T) []T {
	var item T
	if uintptr(cap(buffer))*unsafe.Sizeof(item) > keptBuffer {
		return nil
	}
	return buffer[:0]
}

// utf8Of returns a text as the contract wants it: bytes that are not UTF-8 are replaced. A reason may
// have bytes of a packet in it.
func utf8Of(text string) string {
	return strings.ToValidUTF8(text, "\ufffd")
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
