//go:build !wasip1 || !wireplug_handshake

package wireplug

type sessionOfHandshake interface{}
