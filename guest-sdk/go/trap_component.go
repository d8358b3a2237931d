//go:build wasip1

package wireplug

import (
	"runtime"
	"strconv"
	"strings"
)

// noteAt notes the position in the input of the call: the index of the packet or message in a batch,
// or the offset of the packet in a stream.
//
//go:wasmimport wireplug at
func noteAt(position uint32)

// trap ends the sandbox with a text, which the runtime shows.
//
//go:wasmimport wireplug trap
func trap(text string)

// release makes the memory of the arguments free, and forgets the position.
//
//go:wasmimport wireplug done
func release()

// done ends a call. Every export defers it. A panic ends the sandbox: the runtime shows the file, the
// line and the text of the panic.
func done() {
	if failure := recover(); failure != nil {
		trap(panicPlace() + textOf(failure))
	}
	releaseLarge()
	release()
}

// panicPlace returns the file and the line of the function that panicked, and a colon.
func panicPlace() string {
	// The frames are those of panicPlace, done, the runtime's, and the function that panicked.
	callers := make([]uintptr, 16)
	frames := runtime.CallersFrames(callers[:runtime.Callers(3, callers)])
	for {
		frame, more := frames.Next()
		if frame.Function != "" && !strings.HasPrefix(frame.Function, "runtime.") {
			file := frame.File[strings.LastIndexByte(frame.File, '/')+1:]
			return file + ":" + strconv.Itoa(frame.Line) + ": "
		}
		if !more {
			return ""
		}
	}
}

// textOf returns the value of a panic as a text.
func textOf(failure any) string {
	switch failure := failure.(type) {
	case error:
		return failure.Error()
	case string:
		return failure
	case interface{ String() string }:
		return failure.String()
	case int:
		return strconv.Itoa(failure)
	}
	return "a panic with a value that is no text"
}
