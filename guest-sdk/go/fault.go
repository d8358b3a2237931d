package wireplug

import "errors"

// Reject returns an error that drops the packet or message and keeps the connection. Every error
// that is not of [Fatal] does the same.
func Reject(reason string) error { return errors.New(reason) }

// Fatal returns an error that ends the connection. It still does when another error wraps it.
func Fatal(reason string) error { return &fatal{reason} }

type fatal struct{ reason string }

func (f *fatal) Error() string { return f.reason }

func isFatal(err error) bool {
	var of *fatal
	return errors.As(err, &of)
}
