package options

import (
	"reflect"
	"strings"
	"testing"
)

func TestRead(t *testing.T) {
	type codec struct {
		Limit int      `json:"limit"`
		Names []string `json:"names"`
	}
	read := codec{Limit: 5}
	routes, err := ReadWithRoutes([]byte(`{"routes":["a.b"],"names":["x"]}`), &read)
	if err != nil || !reflect.DeepEqual(read, codec{5, []string{"x"}}) || routes[0] != "a.b" {
		t.Error(read, routes, err)
	}
	for options, part := range map[string]string{
		`{"limits":1}`:       `unknown field "limits"`,
		`{"limit":"1"}`:      "limit",
		`[]`:                 "the options must be a JSON object: ",
		`{"routes":"a.b.c"}`: "`routes` must be a list of strings: ",
	} {
		if err := Read([]byte(options), &read); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: %v", options, err)
		}
	}
}
