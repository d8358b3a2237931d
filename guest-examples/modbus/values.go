// The JSON of the application's answers: {"values":[…]} or {"exception":n}, and nothing else.
//
// encoding/json would read them too. But it calls itself for arrays in arrays, which can exhaust
// the stack of the sandbox, and it leaves garbage.

package main

import (
	"bytes"
	"math"
)

// scanner is the rest of a text in JSON.
type scanner []byte

// take takes a token, and white space before it. It returns false if something else follows.
func (s *scanner) take(token string) bool {
	*s = bytes.TrimLeft(*s, " \t\r\n")
	if !bytes.HasPrefix(*s, []byte(token)) {
		return false
	}
	*s = (*s)[len(token):]
	return true
}

// takeAll takes tokens.
func (s *scanner) takeAll(tokens ...string) bool {
	for _, token := range tokens {
		if !s.take(token) {
			return false
		}
	}
	return true
}

func (s *scanner) isAtEnd() bool {
	*s = bytes.TrimLeft(*s, " \t\r\n")
	return len(*s) == 0
}

func (s *scanner) boolean() (value, isBoolean bool) {
	if s.take("true") {
		return true, true
	}
	return false, s.take("false")
}

func (s *scanner) number(max int) (value int, isNumber bool) {
	*s = bytes.TrimLeft(*s, " \t\r\n")
	for len(*s) > 0 && '0' <= (*s)[0] && (*s)[0] <= '9' {
		value = value*10 + int((*s)[0]-'0')
		if value > max {
			return 0, false
		}
		*s = (*s)[1:]
		isNumber = true
	}
	return value, isNumber
}

func (s *scanner) register() (value uint16, isRegister bool) {
	number, isRegister := s.number(math.MaxUint16)
	return uint16(number), isRegister
}

// readValues passes the values of {"values":[…]} to a function. It returns false if the body is
// something else, or has another number of values.
func readValues[T any](
	body []byte, count int, next func(*scanner) (T, bool), add func(at int, value T),
) bool {
	rest := scanner(body)
	if !rest.takeAll("{", `"values"`, ":", "[") {
		return false
	}
	for at := range count {
		if at > 0 && !rest.take(",") {
			return false
		}
		value, isValue := next(&rest)
		if !isValue {
			return false
		}
		add(at, value)
	}
	return rest.takeAll("]", "}") && rest.isAtEnd()
}

// readException returns the number in {"exception":n}, or none.
func readException(body []byte) exception {
	rest := scanner(body)
	if !rest.takeAll("{", `"exception"`, ":") {
		return none
	}
	number, _ := rest.number(math.MaxUint8)
	if !rest.take("}") || !rest.isAtEnd() {
		return none
	}
	return exception(number)
}
