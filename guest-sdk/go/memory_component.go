//go:build wasip1

package wireplug

import (
	"runtime"
	"unsafe"
)

// arena is the memory for the arguments of a call. Larger arguments get memory of their own.
var arena [16 << 10]byte

// large keeps the arguments of the call that have memory of their own.
var large [][]uint64

// setArena tells where the arena is. From then on the system answers as a codec's does.
//
//go:wasmimport wireplug arena
func setArena(at unsafe.Pointer, length uint32)

func init() { setArena(unsafe.Pointer(&arena), uint32(len(arena))) }

// realloc returns memory for an argument that does not fit the arena.
//
//go:wasmexport wireplug_realloc
func realloc(old unsafe.Pointer, oldLength, align, length uint32) unsafe.Pointer {
	memory := make([]uint64, (length+7)/8+1)
	large = append(large, memory)
	at := unsafe.Pointer(unsafe.SliceData(memory))
	copy(unsafe.Slice((*byte)(at), length), unsafe.Slice((*byte)(old), oldLength))
	return at
}

// releaseLarge lets the collector have the arguments.
func releaseLarge() {
	clear(large)
	large = large[:0]
}

// list is a list or a text of the contract.
type list struct {
	at     uint32
	length uint32
}

// listOf returns where a slice is. The caller keeps the slice until the next call.
func listOf[T any](slice []T) list {
	return list{uint32(uintptr(unsafe.Pointer(unsafe.SliceData(slice)))), uint32(len(slice))}
}

// bytesAt returns the bytes of an argument, which are valid during the call.
func bytesAt(at unsafe.Pointer, length uint32) []byte {
	return unsafe.Slice((*byte)(at), length)[:length:length]
}

// textAt returns a copy of a text.
func textAt(at unsafe.Pointer, length uint32) string {
	return string(bytesAt(at, length))
}

// text is a text among the arguments.
type text struct {
	at     uint32
	length uint32
}

func (t text) String() string { return textAt(unsafe.Add(nil, t.at), t.length) }

// attributesAt returns a copy of the attributes.
func attributesAt(at unsafe.Pointer, length uint32) Attributes {
	attributes := make(Attributes, length)
	for _, pair := range unsafe.Slice((*[2]text)(at), length) {
		attributes[pair[0].String()] = pair[1].String()
	}
	return attributes
}

// firstCollection is the size of the heap at which the runtime of Go collects garbage for the first
// time, in bytes: a quarter of its default, because the system sets GOGC to 25.
const firstCollection = 1 << 20

// heap keeps memory while the heap is prepared.
var heap []byte

// prepareHeap lets the heap of a configured codec have the size that it has between two collections.
// So a session that runs for long takes no more memory than a new one.
func prepareHeap() {
	heap = make([]byte, firstCollection)
	heap = nil
	runtime.GC()
}
