package wireplug

import "errors"

// NoOptions checks the options of a codec that has none. The runtime adds the routes of the
// application to all options, so these are allowed.
//
// The package options reads options into a struct. It brings encoding/json into the component, which
// is 1.5 MB.
func NoOptions(options []byte) error {
	rest := scanner(options)
	if !rest.take('{') {
		return errors.New("the options must be a JSON object")
	}
	for !rest.take('}') {
		name := rest.text()
		if name != "routes" {
			return errors.New("unknown option `" + name + "`; this codec has none")
		}
		rest.take(':')
		rest.skipValue()
		if !rest.take(',') && len(rest) == 0 {
			return errors.New("the options must be a JSON object")
		}
	}
	return nil
}

// scanner reads JSON that the runtime has checked.
type scanner []byte

// take takes this byte, and white space before it. It returns false if another byte follows.
func (s *scanner) take(wanted byte) bool {
	for len(*s) > 0 && ((*s)[0] == ' ' || (*s)[0] == '\n' || (*s)[0] == '\r' || (*s)[0] == '\t') {
		*s = (*s)[1:]
	}
	if len(*s) == 0 || (*s)[0] != wanted {
		return false
	}
	*s = (*s)[1:]
	return true
}

// text takes a text, and returns it as JSON writes it.
func (s *scanner) text() string {
	if !s.take('"') {
		return ""
	}
	for at := 0; at < len(*s); at++ {
		switch (*s)[at] {
		case '\\':
			at++
		case '"':
			text := string((*s)[:at])
			*s = (*s)[at+1:]
			return text
		}
	}
	*s = nil
	return ""
}

// skipValue takes a value.
func (s *scanner) skipValue() {
	depth := 0
	for len(*s) > 0 {
		s.take(' ')
		if len(*s) == 0 {
			return
		}
		switch (*s)[0] {
		case '"':
			s.text()
			continue
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return
			}
			depth--
		case ',':
			if depth == 0 {
				return
			}
		}
		*s = (*s)[1:]
	}
}
