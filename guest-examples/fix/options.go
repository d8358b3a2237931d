// The options of the codec.

package main

import "errors"

var errOptions = errors.New("the options must be a JSON object")

// readOptions returns whether checksums are verified. There is one option, so the package options and
// encoding/json, which take 0.9 MB of each sandbox, are not needed.
func readOptions(text []byte) (checksum bool, err error) {
	checksum = true
	options := jsonReader{rest: text}
	if !options.take('{') {
		return checksum, errOptions
	}
	for isFirst := true; !options.take('}'); isFirst = false {
		if !isFirst && !options.take(',') || !options.take('"') {
			return checksum, errOptions
		}
		name, _ := options.text()
		if !options.take(':') {
			return checksum, errOptions
		}
		switch string(name) {
		case "checksum":
			if checksum = options.takeWord("true"); !checksum && !options.takeWord("false") {
				return checksum, errors.New("`checksum` is not true or false")
			}
		case "routes":
			// The runtime adds the routes of the application.
			if !options.takeTexts() {
				return checksum, errors.New("`routes` is not a list of texts")
			}
		default:
			return checksum, errors.New("unknown option `" + string(name) + "`; there is `checksum`")
		}
	}
	return checksum, nil
}
