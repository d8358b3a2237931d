// The parts of JSON that bodies and options need.

package main

import (
	"bytes"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// jsonReader takes one part of JSON after the other from the front of the rest.
type jsonReader struct{ rest []byte }

func (r *jsonReader) space() {
	for len(r.rest) > 0 && (r.rest[0] == ' ' || r.rest[0] == '\n' || r.rest[0] == '\r' || r.rest[0] == '\t') {
		r.rest = r.rest[1:]
	}
}

// take takes this character, and white space before it.
func (r *jsonReader) take(wanted byte) bool {
	r.space()
	if len(r.rest) == 0 || r.rest[0] != wanted {
		return false
	}
	r.rest = r.rest[1:]
	return true
}

// takeWord takes true, false or null, and white space before it.
func (r *jsonReader) takeWord(wanted string) bool {
	r.space()
	isNext := bytes.HasPrefix(r.rest, []byte(wanted))
	if isNext {
		r.rest = r.rest[len(wanted):]
	}
	return isNext
}

// takeTexts takes a list of texts.
func (r *jsonReader) takeTexts() bool {
	if !r.take('[') {
		return false
	}
	for isFirst := true; !r.take(']'); isFirst = false {
		if !isFirst && !r.take(',') || !r.take('"') {
			return false
		}
		if _, isText := r.text(); !isText {
			return false
		}
	}
	return true
}

// text takes a text behind its first quote. A text without escapes is not copied.
func (r *jsonReader) text() ([]byte, bool) {
	for at, letter := range r.rest {
		switch {
		case letter == '"':
			text := r.rest[:at]
			r.rest = r.rest[at+1:]
			return text, true
		case letter == '\\':
			return r.escapedText(at)
		case letter < ' ':
			return nil, false
		}
	}
	return nil, false
}

// escapedText takes a text whose first escape is at this index.
func (r *jsonReader) escapedText(first int) ([]byte, bool) {
	text := append([]byte(nil), r.rest[:first]...)
	for r.rest = r.rest[first:]; len(r.rest) > 0; {
		letter := r.rest[0]
		r.rest = r.rest[1:]
		switch {
		case letter == '"':
			return text, true
		case letter < ' ':
			return nil, false
		case letter != '\\':
			text = append(text, letter)
		default:
			escaped, isEscape := r.escape()
			if !isEscape {
				return nil, false
			}
			text = utf8.AppendRune(text, escaped)
		}
	}
	return nil, false
}

// escape takes what stands behind a backslash.
func (r *jsonReader) escape() (rune, bool) {
	if len(r.rest) == 0 {
		return 0, false
	}
	letter := r.rest[0]
	r.rest = r.rest[1:]
	switch letter {
	case '"', '\\', '/':
		return rune(letter), true
	case 'b':
		return '\b', true
	case 'f':
		return '\f', true
	case 'n':
		return '\n', true
	case 'r':
		return '\r', true
	case 't':
		return '\t', true
	case 'u':
		return r.unicode()
	}
	return 0, false
}

// unicode takes the four digits of an escape, and the second half of a pair.
func (r *jsonReader) unicode() (rune, bool) {
	first, isHex := r.hex()
	if !isHex || !utf16.IsSurrogate(first) {
		return first, isHex
	}
	if len(r.rest) < 2 || string(r.rest[:2]) != `\u` {
		return 0, false
	}
	r.rest = r.rest[2:]
	second, isHex := r.hex()
	both := utf16.DecodeRune(first, second)
	return both, isHex && both != utf8.RuneError
}

func (r *jsonReader) hex() (rune, bool) {
	if len(r.rest) < 4 {
		return 0, false
	}
	value, err := strconv.ParseUint(string(r.rest[:4]), 16, 16)
	r.rest = r.rest[4:]
	return rune(value), err == nil
}
