//go:build !wasip1 || !wireplug_requests

package wireplug

type sessionOfRequests interface{}
