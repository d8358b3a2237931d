// Bodies of the application: a list of fields in JSON, [[35,"8"],[37,"order-1"]]. The values of data
// fields are in Base64.

package main

import (
	"encoding/base64"
	"errors"
	"strconv"
	"unicode/utf8"
)

// appendList appends fields as one list.
func appendList(to []byte, parts ...[]field) []byte {
	to = append(to, '[')
	for _, fields := range parts {
		for _, field := range fields {
			if to[len(to)-1] == ']' {
				to = append(to, ',')
			}
			to = append(strconv.AppendInt(append(to, '['), int64(field.tag), 10), ',', '"')
			if _, isData := lengthFields[field.tag]; isData {
				to = base64.StdEncoding.AppendEncode(to, field.value)
			} else {
				to = appendEscaped(to, field.value)
			}
			to = append(to, '"', ']')
		}
	}
	return append(to, ']')
}

// appendEscaped appends a text in UTF-8 as JSON writes it between quotes.
func appendEscaped(to, text []byte) []byte {
	const hex = "0123456789abcdef"
	for _, letter := range text {
		switch {
		case letter == '"' || letter == '\\':
			to = append(to, '\\', letter)
		case letter < ' ':
			to = append(to, '\\', 'u', '0', '0', hex[letter>>4], hex[letter&15])
		default:
			to = append(to, letter)
		}
	}
	return to
}

var errList = errors.New(`the body is not a list of fields such as [[35,"8"],[37,"order-1"]]`)

// listReader reads a list of fields.
type listReader struct {
	jsonReader
	// hasRead says that a field was read.
	hasRead bool
}

func readList(body []byte) (listReader, error) {
	reader := listReader{jsonReader: jsonReader{body}}
	if !utf8.Valid(body) || !reader.take('[') {
		return reader, errList
	}
	return reader, nil
}

// next returns the next field. At the end of the list it is the zero field.
func (r *listReader) next() (field, error) {
	if r.take(']') {
		r.space()
		if len(r.rest) > 0 {
			return field{}, errList
		}
		return field{}, nil
	}
	if r.hasRead && !r.take(',') || !r.take('[') {
		return field{}, errList
	}
	r.hasRead = true
	tag, err := r.tag()
	if err != nil {
		return field{}, err
	}
	if !r.take(',') || !r.take('"') {
		return field{}, errors.New("the value of field " + strconv.Itoa(tag) + " is not a text")
	}
	value, isText := r.text()
	if !isText || !r.take(']') {
		return field{}, errList
	}
	if _, isData := lengthFields[tag]; isData {
		if value, err = base64.StdEncoding.AppendDecode(nil, value); err != nil {
			return field{}, errors.New("the value of field " + strconv.Itoa(tag) + " is not Base64")
		}
	}
	return field{tag, value}, nil
}

func (r *listReader) tag() (int, error) {
	r.space()
	digits := 0
	for digits < len(r.rest) && r.rest[digits] >= '0' && r.rest[digits] <= '9' {
		digits++
	}
	tag, isNumber := parseNumber(r.rest[:digits])
	if !isNumber || tag == 0 || tag > maxTag || r.rest[0] == '0' {
		return 0, errors.New("a tag is not a number from 1 to 99999")
	}
	r.rest = r.rest[digits:]
	return int(tag), nil
}
