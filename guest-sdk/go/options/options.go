// Package options reads the options of a codec with encoding/json.
package options

import (
	"bytes"
	"encoding/json"
	"errors"
)

// Read reads options into a struct, as encoding/json does. An option that the struct does not have is
// an error. The routes that the runtime adds are left out.
func Read(options []byte, into any) error {
	_, err := ReadWithRoutes(options, into)
	return err
}

// ReadWithRoutes reads options into a struct, as [Read] does, and returns the routes of the
// application beside them.
func ReadWithRoutes(options []byte, into any) (routes []string, err error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(options, &members); err != nil {
		return nil, errors.New("the options must be a JSON object: " + err.Error())
	}
	if value, has := members["routes"]; has {
		if err := json.Unmarshal(value, &routes); err != nil {
			return nil, errors.New("`routes` must be a list of strings: " + err.Error())
		}
		delete(members, "routes")
	}
	rest, err := json.Marshal(members)
	if err != nil {
		return nil, err
	}
	decoder := json.NewDecoder(bytes.NewReader(rest))
	decoder.DisallowUnknownFields()
	return routes, decoder.Decode(into)
}
